"""Submissions and the board made of them."""
