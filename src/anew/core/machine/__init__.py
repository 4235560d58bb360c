"""The machine: its cores, memory, device, and the loops that are compiled for it."""
