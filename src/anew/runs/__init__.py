"""Run folders: how they are read, written and locked. A run may come from anybody, so nothing in it is trusted."""
