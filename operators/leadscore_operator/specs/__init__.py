"""Builders of Kubernetes objects: pure, from a wish and the installation's workload settings."""
