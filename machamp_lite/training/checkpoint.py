"""Where a run stands, so that it can go on as if it had never stopped: a folder of two parts.

state.safetensors   all weights, the optimizer, random generators, and what the loop counts, as JSON in a tensor of
                    bytes; one file, because one file is replaced at once
start/              the model as the run started, from which a run that goes on has encoder, tokenizer and labels
"""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from machamp_lite.errors import ConfigError
from machamp_lite.files.atomic import replacing_path
from machamp_lite.files.temporaries import remove_dead_temporaries
from machamp_lite.model.model_folder import remove_model
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.safe_loading import check_finite, non_finite_buffers
from machamp_lite.model.serialization import save_model, state_of
from machamp_lite.training.randomness import random_states, set_random_states
from machamp_lite.training.resume_checks import changes
from machamp_lite.training.run_folder import START as START
from machamp_lite.training.run_folder import STATE_FILE as STATE_FILE
from machamp_lite.training.run_folder import is_state, state_metadata

logger = logging.getLogger(__name__)

MOST_THREADS = 4096
_DOCUMENT, _WEIGHTS, _OPTIMIZER = "document", "model.", "optimizer."


@dataclass(slots=True)
class RunningEpoch:
    """What the epoch that is not finished has come to.

    ``batches`` are those of the epoch that are done, ``sums`` and ``counts`` the losses of each task over them,
    ``total`` and ``totals`` the sum and the number of their total losses.
    """

    batches: int = 0
    words: int = 0
    seconds: float = 0.0
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    total: Tensor | float = 0.0
    totals: int = 0

    def add(self, losses: Mapping[str, Tensor], *, total: Tensor | None, words: int) -> None:
        """Counts one batch."""
        self.batches += 1
        self.words += words
        for task, loss in losses.items():
            self.sums[task] = self.sums.get(task, 0.0) + loss.float()
            self.counts[task] = self.counts.get(task, 0) + 1
        if total is not None:
            self.total = self.total + total.float()
            self.totals += 1

    def mean_total(self) -> float:
        """The mean of the minimised loss, over the batches that had labels of a trained task."""
        return float(self.total) / max(1, self.totals)

    def mean_losses(self) -> dict[str, float]:
        """The mean loss of each task over its batches."""
        return {task: total.item() / self.counts[task] for task, total in self.sums.items()}


@dataclass(slots=True)
class TrainerState:
    """What the loop counts: epochs and steps done, the epochs that are kept, metrics of each epoch.

    ``best_epochs`` are (number, sum of main dev metrics or None), the best first.
    """

    epoch: int = 0
    step: int = 0
    best_epochs: list[tuple[int, float | None]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    running: RunningEpoch = field(default_factory=RunningEpoch)

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch; 0 before the first."""
        return self.best_epochs[0][0] if self.best_epochs else 0

    @property
    def epochs_since_best(self) -> int:
        """How many epochs in a row have not been the best."""
        return self.epoch - self.best_epoch

    def finish_epoch(self, total: float | None, *, keep: int) -> bool:
        """Counts one more epoch and ranks it by its sum of metrics; says whether it is the best yet.

        Of equal ones the first is better, without sums the last.
        """
        self.epoch += 1
        self.running = RunningEpoch()
        rank = 0
        if total is not None:
            # Not "at least as good": a sum that is no number is never better.
            rank = sum(not (other is None or total > other) for _, other in self.best_epochs)
        self.best_epochs.insert(rank, (self.epoch, total))
        del self.best_epochs[keep:]
        return rank == 0


def start_state(folder: Path, model: Model) -> None:
    """Makes the folder of states, with what a run that goes on has instead of a pretrained encoder."""
    folder.mkdir(exist_ok=True)
    save_model(model, folder / START)


def remove_state(folder: Path) -> None:
    """Removes the folder of states; stopped half-way, it leaves none that could be gone on from."""
    if is_state(folder / STATE_FILE):
        (folder / STATE_FILE).unlink(missing_ok=True)
    remove_model(folder / START)
    remove_dead_temporaries(folder)
    with contextlib.suppress(OSError):
        # Whatever else is in it is not ours.
        folder.rmdir()


def save_state(
    folder: Path,
    *,
    model: Model,
    optimizer: torch.optim.Optimizer,
    progress: TrainerState,
    conditions: dict[str, Any],
    random_of_others: Sequence[Any] = (),
) -> None:
    """Writes the state of a run, in the place of an older one, which is whole until then.

    ``random_of_others`` are the states of the random generators of its further processes.
    """
    running = progress.running
    document = {
        "conditions": conditions,
        "threads": torch.get_num_threads(),
        "random": random_states(model.device),
        "random_of_others": list(random_of_others),
        "epoch": progress.epoch,
        "step": progress.step,
        "best_epochs": progress.best_epochs,
        "metrics": progress.metrics,
        "running": {
            "batches": running.batches,
            "words": running.words,
            "seconds": running.seconds,
            "sums": {task: total.item() for task, total in running.sums.items()},
            "counts": running.counts,
            "total": float(running.total),
            "totals": running.totals,
        },
    }
    tensors = {_DOCUMENT: torch.frombuffer(bytearray(json.dumps(document).encode()), dtype=torch.uint8)}
    tensors |= {_WEIGHTS + name: value.contiguous() for name, value in state_of(model).items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{number}.{name}": value.contiguous() for name, value in values.items()}
    with replacing_path(folder / STATE_FILE) as place:
        save_file(tensors, place, state_metadata())


def load_document(folder: Path) -> dict[str, Any]:
    """What a state holds beside weights; raises ``ConfigError`` if there is none or it is damaged."""
    try:
        with safe_open(folder / STATE_FILE, "pt") as file:
            return dict(json.loads(file.get_tensor(_DOCUMENT).numpy().tobytes()))
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise _damaged(folder, error) from None


def check_conditions(folder: Path, document: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises ``ConfigError`` with a line for each version, data file and key of the config that has changed."""
    try:
        lines = list(changes(document["conditions"], now, folder=folder.parent))
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, error) from None
    if lines:
        raise ConfigError(lines)


def check_processes(folder: Path, document: Mapping[str, Any], count: int) -> None:
    """Raises ``ConfigError`` for another number of processes than the run was started with."""
    try:
        init_model = 1 + len(document.get("random_of_others", ()))
    except (TypeError, AttributeError) as error:
        raise _damaged(folder, error) from None
    if count != init_model:
        raise ConfigError(
            f"processes: found {count}, but {folder.parent} was started with {init_model}, so it cannot be resumed"
        )


@contextlib.contextmanager
def same_threads(folder: Path, document: Mapping[str, Any]) -> Iterator[None]:
    """Uses the number of threads that the run had so far: another number would round sums in another order."""
    now = torch.get_num_threads()
    init_model = document.get("threads", now)
    if not isinstance(init_model, int) or not 1 <= init_model <= MOST_THREADS:
        raise _damaged(folder, ValueError(f"threads: found {init_model!r}"))
    if init_model != now:
        logger.info("computes with %d threads, as at the start of the run, instead of %d", init_model, now)
        torch.set_num_threads(init_model)
    try:
        yield
    finally:
        torch.set_num_threads(now)


def progress_of(folder: Path, document: Mapping[str, Any]) -> TrainerState:
    """How far the run of a state is; raises ``ConfigError`` if the document is damaged."""
    try:
        running = RunningEpoch(**document["running"])
        running.sums = {task: torch.tensor(total) for task, total in document["running"]["sums"].items()}
        best_epochs = [(epoch, total) for epoch, total in document["best_epochs"]]
        return TrainerState(document["epoch"], document["step"], best_epochs, document["metrics"], running)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, error) from None


def restore(
    folder: Path,
    document: Mapping[str, Any],
    *,
    model: Model,
    optimizer: torch.optim.Optimizer,
    process: int = 0,
) -> None:
    """Puts model, optimizer and the random generators of a process where they stood.

    Raises ``ConfigError`` if it cannot.
    """
    try:
        tensors = load_file(folder / STATE_FILE)
        unset = non_finite_buffers(model)
        # Not strictly: what has several names is there once.
        model.load_state_dict({name: tensors[_WEIGHTS + name] for name in state_of(model)}, strict=False)
        check_finite(model, folder / STATE_FILE, allowed=unset)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(_OPTIMIZER):
                number, _, name = key.removeprefix(_OPTIMIZER).partition(".")
                moments.setdefault(int(number), {})[name] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
        random = document["random_of_others"][process - 1] if process else document["random"]
        set_random_states(random, model.device)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
        raise _damaged(folder, error) from None


def _damaged(folder: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{folder}: holds no state from which a run can be resumed ({error})")
