"""How networks are trained and sampled: the loop, several processes, precision, and the stages of a fit."""
