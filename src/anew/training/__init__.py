"""The loop that trains any family: phases, optimiser, averages, run folder. It names no family."""
