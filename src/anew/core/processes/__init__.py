"""Several processes of one command: how they find, hear and watch each other."""
