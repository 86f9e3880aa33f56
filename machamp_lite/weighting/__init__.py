"""What counts how much: the losses of items, and later the weights of labels and tasks."""
