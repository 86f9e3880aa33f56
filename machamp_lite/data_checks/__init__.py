"""Checks and describes the data of a run before training starts."""
