"""The training loop, its optimizer, and model folders."""
