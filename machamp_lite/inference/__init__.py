"""Prediction and evaluation, with their input and output files."""
