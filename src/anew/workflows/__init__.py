"""What each verb does, from its request to its result."""
