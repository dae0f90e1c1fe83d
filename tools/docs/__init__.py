"""Builders of documents: the command line's reference, and the site."""
