"""What files of text hold: encodings, records, tokens."""
