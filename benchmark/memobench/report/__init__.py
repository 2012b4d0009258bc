"""What a run shows a person: a verdict in words, tables, a gallery."""
