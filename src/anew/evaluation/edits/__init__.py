"""Search for the records that differ from others by the fewest edits, among millions."""
