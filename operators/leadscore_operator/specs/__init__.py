"""Builders of Kubernetes objects: pure, from a declared and the installation's workload settings."""
