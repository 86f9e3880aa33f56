"""Models for the rows of ``task_type_cases``."""

from task_models import make

__all__ = ["make"]
