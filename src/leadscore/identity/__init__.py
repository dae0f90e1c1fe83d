"""Who calls, and from where: one value that travels with every prediction and every evidence record."""
