"""Metrics of images, sounds and clips: what people notice first."""
