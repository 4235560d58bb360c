"""Programs that are copied into exports. They need NumPy and ONNX Runtime, and nothing of this package."""
