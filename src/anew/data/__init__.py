"""Data: sources, formats, modalities, splitting, loading; `dataset.Dataset` stands on top."""
