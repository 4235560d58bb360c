"""A codec of discrete codes (finite scalar quantisation)."""
