"""The generators that memobench brings along: one file is one entry, named after its file."""
