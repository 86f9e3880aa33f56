"""Weights of classes, items, sentences and tasks in the loss."""
