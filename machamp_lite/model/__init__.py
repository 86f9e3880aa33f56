"""The shared encoder, the multi-task model, and saving and loading it."""
