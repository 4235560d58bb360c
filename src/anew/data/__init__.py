"""Data: sources, formats, modalities, splitting and loading, and `dataset.Dataset`, which uses all of them."""
