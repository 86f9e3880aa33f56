"""Models outside of this program: encoders for other libraries, ONNX, model cards and the Hugging Face hub."""
