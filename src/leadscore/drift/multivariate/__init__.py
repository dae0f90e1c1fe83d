"""Tests of all features together."""
