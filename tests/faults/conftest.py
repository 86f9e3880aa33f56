"""What tests of faults have in common."""

import os
from pathlib import Path

import pytest
from fuzzing import train, write_workplace


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the disk: a process that is killed loses nothing that was written, only a power cut does."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="session")
def many_tasks(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, configs, and a run: one barely trained model with tasks of many types."""
    folder = tmp_path_factory.mktemp("many_tasks")
    write_workplace(folder, encoder)
    flags = ["--dataset_configs", "c.json", "--parameters_config", "p.json", "--model_dir", "run"]
    code, lines = train(*flags, folder=folder)
    assert code == 0, lines
    return folder
