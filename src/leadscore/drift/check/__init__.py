"""The check: methods at work, what they find weighed and named, and one verdict of them all. Pure."""
