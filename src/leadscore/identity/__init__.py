"""Who is calling, and from where: API keys, OIDC tokens, client addresses, and proofs of who approved."""
