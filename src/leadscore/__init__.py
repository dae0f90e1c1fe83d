"""LeadScore: score leads, say why, and stay right about it."""

__version__ = "0.1.0"
