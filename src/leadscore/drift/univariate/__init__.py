"""Comparisons of single features of a window with their reference, season by season."""
