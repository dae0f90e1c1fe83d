"""A real API server, a proxy in front of it that can misbehave, and stories replayed once per fault."""
