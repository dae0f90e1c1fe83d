"""One module per revision; they never change once released, and name tables and columns as they were at the time."""
