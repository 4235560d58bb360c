"""Models fitted in closed form or by counting, without gradients: fit, state, predict."""
