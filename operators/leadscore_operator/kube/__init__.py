"""A thin client of the API server: JSON in, JSON out, every failure an error of ours."""
