"""What stands in for a registry where none answers: base images, the node image, archives of programs."""
