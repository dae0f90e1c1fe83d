"""The servers that the service is compared with; each file runs inside its own environment."""
