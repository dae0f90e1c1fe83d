"""What developers and CI run around the product: set-up, generated documents, the local cluster."""
