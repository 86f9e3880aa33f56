"""What counts how much: classes, items and tasks."""
