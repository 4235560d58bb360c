"""Context mixing together with the network."""
