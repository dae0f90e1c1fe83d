"""Drift reports for people: a self-contained HTML page, Markdown, and a table for the terminal."""
