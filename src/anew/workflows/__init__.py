"""Implementation of the verbs, each from its request to its result."""
