"""Features that metrics are taken of."""
