"""Prediction, evaluation, and what they read and write."""
