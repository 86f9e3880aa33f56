"""Where a run stands after an epoch, in JSON and safetensors, so that it can go on as if it had never stopped.

state.json              epoch, step, best sum of metrics, metrics so far, and what the run depends on
model.safetensors       all weights, learnt weights of tasks included
optimizer.safetensors   the optimizer's moments and step counts, and the states of random generators
"""

import json
from dataclasses import dataclass, field
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
    """What the loop counts: epochs and steps done, the best sum of main metrics, metrics of each epoch."""

    epoch: int = 0
    step: int = 0
    best: float | None = None
    metrics: list[dict[str, Any]] = field(default_factory=list)


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
        counted = {"epoch": progress.epoch, "step": progress.step, "best": progress.best}
        write_json(place / _STATE, {**counted, "metrics": progress.metrics, "depends_on": depends_on})


def load_state(
    folder: Path, *, model: Model, optimizer: torch.optim.Optimizer, depends_on: dict[str, Any]
) -> Progress:
    """Puts model, optimizer and random generators where they stood.

    Raises ``ConfigError`` if there is no state, if a file of it is damaged, or if what the run depends on has changed.
    """
    try:
        document = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        for name, value in depends_on.items():
            if document["depends_on"].get(name) != value:
                raise ConfigError(
                    f"{name}: has changed since {folder.parent} was started, so it cannot go on"
                )
        tensors = load_file(folder / _OPTIMIZER)
        load_weights(model, folder / _WEIGHTS, device=str(model.device))
        _restore(optimizer, tensors, model.device)
        return Progress(document["epoch"], document["step"], document["best"], document["metrics"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ConfigError(f"{folder}: holds no state of a run that can go on ({error})") from None


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
