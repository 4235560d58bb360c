"""One file for each kind of data; `EXPORT = TheClass` registers it."""
