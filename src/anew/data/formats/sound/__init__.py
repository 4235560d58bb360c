"""Sound and slow signals: files, clips, and the grids that are learned."""
