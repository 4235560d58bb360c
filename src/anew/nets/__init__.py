"""Networks as PyTorch modules: sizes in, tensors out. They know no data, no loss and no training."""
