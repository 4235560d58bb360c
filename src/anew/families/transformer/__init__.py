"""The autoregressive Transformer."""
