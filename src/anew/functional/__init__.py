"""Pure functions on tensors and arrays: no module, no state, no file."""
