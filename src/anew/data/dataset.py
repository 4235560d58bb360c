"""A source, opened: parts, order, batches. The one thing that api, plan and train see of data."""
