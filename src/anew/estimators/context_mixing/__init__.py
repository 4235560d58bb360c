"""Context mixing: predictions from many kinds of context, weighted by how well each has predicted so far (Mahoney, "Adaptive weighing
of context models for lossless data compression", 2005)."""
