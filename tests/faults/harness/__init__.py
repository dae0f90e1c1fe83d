"""A real API server, a proxy in front of it that can misbehave, and scenarios replayed once per fault."""
