"""Counts of tokens, and the gate that mixes them with the network."""
