"""Release: from a trained candidate to traffic, by evidence only."""
