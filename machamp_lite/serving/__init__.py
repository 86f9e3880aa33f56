"""Predicts over HTTP: requests of several clients are joined into batches."""
