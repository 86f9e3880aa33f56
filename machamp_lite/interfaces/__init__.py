"""Models as parts of other libraries, and predictions in their formats."""
