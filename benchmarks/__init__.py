"""`make bench`: every figure this project states, measured side by side with others in one run on one machine."""
