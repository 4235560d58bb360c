"""`compare`: several generators of the same data, trained and measured alike."""
