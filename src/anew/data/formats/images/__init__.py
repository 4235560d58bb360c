"""Pixels of images, and what gives samples the values of real ones."""
