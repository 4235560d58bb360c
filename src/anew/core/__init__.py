"""Basics that every package uses: specs, settings, randomness, files, threads."""
