"""Who calls, and from where: API keys, OIDC tokens, client addresses, and proofs of who approved."""
