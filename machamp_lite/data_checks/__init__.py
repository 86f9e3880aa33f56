"""Checks and descriptions of the data of a run before training starts."""
