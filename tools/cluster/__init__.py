"""A real Kubernetes on one machine with one command: kind, with or without an image registry."""
