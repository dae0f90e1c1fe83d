"""A small controller, right and wrong in known ways: what the harness itself is tested with."""
