"""The `leadscore` command."""
