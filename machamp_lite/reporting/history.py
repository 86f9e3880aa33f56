"""The finished epochs of a run; imports no torch, so that a misspelt folder is reported at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from machamp_lite.errors import ConfigError, nearest_file
from machamp_lite.files.checksums import read_any_json, read_json_object
from machamp_lite.files.run_files import HISTORY, METRICS, SUMMARY


def read_history(folder: Path) -> tuple[list[Mapping[str, Any]], int]:
    """The epochs in history.json, and the number of the best one, from 1.

    Raises ``ConfigError`` if it is not the folder of a run, or one without a finished epoch.
    """
    history, metrics = read_any_json(folder / HISTORY), read_json_object(folder / METRICS)
    if not isinstance(history, list) or not history or "best_epoch" not in metrics:
        hint = "" if folder.exists() else nearest_file(str(folder))
        if (folder / SUMMARY).is_file():
            hint = "; it is the folder of a group of runs: give one of the folders in it"
        raise ConfigError(
            f"{folder}: found no epoch of a run ({HISTORY} and {METRICS}), expected the folder of a run{hint}"
        )
    return history, max(1, min(int(metrics["best_epoch"]), len(history)))
