"""Copy detection: embed, match, decide."""
