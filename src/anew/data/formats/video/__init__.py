"""Videos, animations and folders of frames, and the clips that are learned."""
