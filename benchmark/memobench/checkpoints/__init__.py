"""Generators that were trained elsewhere: samples alone, or a checkpoint that memobench can sample. Never a pickle."""
