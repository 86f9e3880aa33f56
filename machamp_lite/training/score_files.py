"""The scores of a run: all metrics of all epochs, and flat files with the names and keys of MaChAmp 0.4.

MaChAmp's scripts read ``best_dev_TASK_METRIC``, ``time_total`` and ``max_gpu_mem`` in metrics.json. There are no
scores of training data, because training steps predict nothing.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from machamp_lite.files.atomic import write_json
from machamp_lite.training.run_folder import HISTORY, METRICS, epoch_metrics_name
from machamp_lite.training.trainer_state import TrainerState

_STATUS = Path("/proc/self/status")


def write_scores(folder: Path, state: TrainerState, *, num_epochs: int) -> None:
    """Writes the metrics of all epochs so far, those of the last epoch, and the flat ones of last and best epoch."""
    write_json(folder / HISTORY, state.metrics)
    flat = flat_metrics(state.metrics, best_epoch=state.best_epoch, num_epochs=num_epochs)
    write_json(folder / epoch_metrics_name(state.epoch), flat)
    write_json(folder / METRICS, flat)


def flat_metrics(epochs: Sequence[Mapping[str, Any]], *, best_epoch: int, num_epochs: int) -> dict[str, Any]:
    """The metrics of the last and of the best epoch by one key each; like MaChAmp's, times and memory are texts."""
    last = epochs[-1]
    flat = {"epoch": f"{last['epoch']}/{num_epochs}", "best_epoch": best_epoch}
    flat |= {key: f"{gigabytes:.4f}" for key, gigabytes in last["memory"].items()}
    flat["time_epoch"] = _as_time(last["seconds"] + last["dev_seconds"])
    flat["time_total"] = _as_time(sum(epoch["seconds"] + epoch["dev_seconds"] for epoch in epochs))
    named = {"best_": epochs[best_epoch - 1], "": last}
    for prefix, epoch in named.items():
        flat |= {f"{prefix}train_{task}_loss": loss for task, loss in epoch["train"].items()}
    for prefix, epoch in named.items():
        if epoch["dev_sum"] is not None:
            flat[f"{prefix}dev_sum"] = epoch["dev_sum"]
    for prefix, epoch in named.items():
        for task, scores in epoch["tasks"].items():
            flat |= {f"{prefix}dev_{task}_{metric}": value for metric, value in scores.items()}
    return flat


def memory_in_use(device: torch.device) -> dict[str, float]:
    """The memory of this process now, and the most that it had on its GPU, in gigabytes; empty if unknown."""
    memory = {}
    if device.type == "cuda":
        memory["max_gpu_mem"] = torch.cuda.max_memory_allocated(device) / 1e9
    if _STATUS.exists() and (found := re.search(r"VmRSS:\s*(\d+) kB", _STATUS.read_text(encoding="utf-8"))):
        memory["cur_ram"] = int(found[1]) / 1e6
    return memory


def _as_time(seconds: float) -> str:
    """Seconds as hours, minutes and seconds.

    >>> _as_time(3725.9)
    '1:02:05'
    """
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
