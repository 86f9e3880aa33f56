"""Where a run stands after an epoch, in JSON and safetensors, so that it can go on as if it had never stopped.

state.json              epoch, step, the best epochs, metrics so far, and what the run depends on
model.safetensors       all weights, learnt weights of tasks included
optimizer.safetensors   the optimizer's moments and step counts, and the states of random generators
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from safetensors.torch import load_model as load_weights
from safetensors.torch import save_model as save_weights
from torch import Tensor

from machamp_lite.errors import ConfigError
from machamp_lite.files import replacing_folder, write_json
from machamp_lite.model import Model

_STATE, _WEIGHTS, _OPTIMIZER = "state.json", "model.safetensors", "optimizer.safetensors"
_RANDOM_CPU, _RANDOM_GPU = "random.cpu", "random.gpu"


@dataclass(slots=True)
class Progress:
    """What the loop counts: epochs and steps done, the epochs that are kept, metrics of each epoch.

    ``best_epochs`` are (number, sum of main dev metrics or None), the best first.
    """

    epoch: int = 0
    step: int = 0
    best_epochs: list[tuple[int, float | None]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)

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
        rank = 0
        if total is not None:
            # Not "at least as good": a sum that is no number is never better.
            rank = sum(not (other is None or total > other) for _, other in self.best_epochs)
        self.best_epochs.insert(rank, (self.epoch, total))
        del self.best_epochs[keep:]
        return rank == 0


def save_state(
    folder: Path,
    *,
    model: Model,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    depends_on: dict[str, Any],
) -> None:
    """Writes the state of a run, in the place of an older one."""
    tensors = {
        f"{number}.{name}": value.contiguous()
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    tensors[_RANDOM_CPU] = torch.get_rng_state()
    if model.device.type == "cuda":
        tensors[_RANDOM_GPU] = torch.cuda.get_rng_state(model.device)
    with replacing_folder(folder) as place:
        save_weights(model, str(place / _WEIGHTS))
        save_file(tensors, place / _OPTIMIZER)
        write_json(place / _STATE, {**asdict(progress), "depends_on": depends_on})


def load_progress(folder: Path) -> Progress:
    """How far the run of a state is; raises ``ConfigError`` if there is no state or it is damaged."""
    try:
        return _progress(_read(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from None


def load_state(
    folder: Path, *, model: Model, optimizer: torch.optim.Optimizer, depends_on: dict[str, Any]
) -> Progress:
    """Puts model, optimizer and random generators where they stood.

    Raises ``ConfigError`` if there is no state, if a file of it is damaged, or if what the run depends on has changed.
    """
    try:
        document = _read(folder)
        for name, value in depends_on.items():
            if document["depends_on"].get(name) != value:
                raise ConfigError(
                    f"{name}: has changed since {folder.parent} was started, so it cannot go on"
                )
        tensors = load_file(folder / _OPTIMIZER)
        load_weights(model, folder / _WEIGHTS, device=str(model.device))
        _restore(optimizer, tensors, model.device)
        return _progress(document)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise _damaged(folder, error) from None


def _read(folder: Path) -> Any:
    return json.loads((folder / _STATE).read_text(encoding="utf-8"))


def _progress(document: Any) -> Progress:
    best_epochs = [(epoch, total) for epoch, total in document["best_epochs"]]
    return Progress(document["epoch"], document["step"], best_epochs, document["metrics"])


def _damaged(folder: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{folder}: holds no state of a run that can go on ({error})")


def _restore(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], device: torch.device) -> None:
    random_cpu, random_gpu = tensors.pop(_RANDOM_CPU), tensors.pop(_RANDOM_GPU, None)
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(random_cpu)
    if random_gpu is not None and device.type == "cuda":
        torch.cuda.set_rng_state(random_gpu, device)
