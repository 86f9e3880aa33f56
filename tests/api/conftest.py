"""Models for the rows of ``task_type_cases``, and a library without the logging of a command."""

import logging

import pytest
from task_models import make

__all__ = ["make"]


@pytest.fixture(autouse=True)
def unset_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests run commands in this process, which set up logging."""
    logger = logging.getLogger("machamp_lite")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
