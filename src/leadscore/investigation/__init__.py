"""From a complaint to its cause: one lead's story, and the six steps over a span of time."""
