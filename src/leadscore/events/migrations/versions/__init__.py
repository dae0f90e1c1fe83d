"""One module per revision.

They never change once released, and name tables and columns as they were at the time.
"""
