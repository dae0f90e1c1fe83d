"""`make bench`: every figure this project states, measured side by side with others on one machine."""
