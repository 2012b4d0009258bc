"""What a run shows a person: a verdict in words, a table, a gallery."""
