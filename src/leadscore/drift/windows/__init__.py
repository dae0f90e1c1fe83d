"""What is compared and remembered: a reference's and a window's leads in counts, and the memory of windows without drift."""
