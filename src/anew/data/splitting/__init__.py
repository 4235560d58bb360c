"""Splitting of records into training and held-out parts."""
