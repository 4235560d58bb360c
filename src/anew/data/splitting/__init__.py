"""Which records are held out."""
