"""What a run shows a person: a decision in words, tables, a gallery."""
