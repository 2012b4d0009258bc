"""Distances, exact nearest neighbours, and neighbourhoods, of feature vectors."""
