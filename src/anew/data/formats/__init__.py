"""Bytes to arrays and text, and back. It knows no data set."""
