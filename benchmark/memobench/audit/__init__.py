"""The audit: may a synthetic data set that somebody made leave the house, and which of its images must not?"""
