"""The shells: read everything afresh, ask the pure part, do what it says. One module per kind."""
