"""The calls that ``import memobench`` offers, on whatever arrays people have; each is imported when it is asked for."""
