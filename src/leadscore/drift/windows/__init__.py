"""What is compared and remembered.

A reference's and a window's leads in counts, and the memory of windows without drift.
"""
