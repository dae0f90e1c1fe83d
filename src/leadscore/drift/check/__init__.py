"""The drift check: run the methods, combine and explain their findings, give one verdict. Pure."""
