"""Turns records into examples, and examples into batches."""
