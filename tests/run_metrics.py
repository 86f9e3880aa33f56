"""The metrics in a run folder, without what differs between equal runs: times and memory."""

import json
from pathlib import Path
from typing import Any

from machamp_lite.training.run_folder import HISTORY, metrics_files

MEASURED = {
    *("seconds", "dev_seconds", "words_per_second", "memory"),
    *("time_epoch", "time_total", "cur_ram", "max_gpu_mem"),
}


def metrics_of(folder: str | Path) -> dict[str, Any]:
    """The content of each file with metrics by its name."""
    return {path.name: without_measured(json.loads(path.read_text())) for path in metrics_files(Path(folder))}


def history_of(folder: str | Path) -> Any:
    """The metrics of each epoch."""
    return metrics_of(folder)[HISTORY]


def without_measured(metrics: Any) -> Any:
    """One object or a list of objects without times and memory."""
    if isinstance(metrics, list):
        return list(map(without_measured, metrics))
    return {key: value for key, value in metrics.items() if key not in MEASURED}
