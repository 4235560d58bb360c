"""Context mixing: what followed many kinds of context, weighed by what proved right (Mahoney, "Adaptive weighing of context
models for lossless data compression", 2005)."""
