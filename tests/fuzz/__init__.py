"""Mutation fuzzing of what strangers give: files of data, run folders, command lines. `python -m fuzz` runs it."""
