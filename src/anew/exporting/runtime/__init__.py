"""Programs that are copied into exports. They need NumPy and ONNX Runtime alone, and import nothing of this package."""
