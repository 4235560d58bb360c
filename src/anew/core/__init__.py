"""What every package uses: specs, settings, randomness, files, threads."""
