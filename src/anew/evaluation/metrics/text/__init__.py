"""Metrics of text: words, repetition, and naive models to compare with."""
