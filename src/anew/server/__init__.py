"""Runs over HTTP, in the shapes that OpenAI's clients know. Nothing here is imported before a server starts."""
