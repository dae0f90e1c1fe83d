"""Durable delivery to other systems: a message is a row until its receiver has it, or a person is told."""
