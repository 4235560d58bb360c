"""A trained run in the formats of other programs. One file a target; `EXPORT = TheClass` registers it."""
