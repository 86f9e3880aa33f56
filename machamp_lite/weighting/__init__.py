"""Everything about weights in the loss: of classes, of items, and of tasks."""
