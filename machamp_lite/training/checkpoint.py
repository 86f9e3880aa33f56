"""The saved state of a run, from which it can be resumed: a folder with two parts.

state.safetensors   all weights, the optimizer, and the states of random generators and the trainer (as JSON in a tensor
                    of bytes); one file, because a single file can be replaced atomically
start/              the model at the start of the run, with the encoder, the tokenizer and the labels
"""

import contextlib
import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from machamp_lite.errors import ConfigError
from machamp_lite.files.atomic import replacing_path
from machamp_lite.files.run_files import STATE_FILE
from machamp_lite.files.temporaries import remove_dead_temporaries
from machamp_lite.model.model_folder import remove_model
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.safe_loading import check_finite, non_finite_buffers
from machamp_lite.model.serialization import save_model, state_of
from machamp_lite.training.resume_checks import changes
from machamp_lite.training.run_folder import START, is_state, state_metadata
from machamp_lite.training.trainer_state import TrainerState

logger = logging.getLogger(__name__)

MAX_THREADS = 4096
_DOCUMENT, _WEIGHTS, _OPTIMIZER = "document", "model.", "optimizer."
# The errors that reading a damaged state can raise.
_DAMAGES = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError)


def start_state(folder: Path, model: Model) -> None:
    """Creates the folder with the model at the start of the run, from which a resumed run takes the encoder."""
    folder.mkdir(exist_ok=True)
    save_model(model, folder / START)


def remove_state(folder: Path) -> None:
    """Removes the folder: first the state, so that an interrupted removal leaves nothing to resume."""
    if is_state(folder / STATE_FILE):
        (folder / STATE_FILE).unlink(missing_ok=True)
    remove_model(folder / START)
    remove_dead_temporaries(folder)
    with contextlib.suppress(OSError):
        # It may contain files that this program did not write.
        folder.rmdir()


def save_state(
    folder: Path,
    *,
    model: Model,
    optimizer: torch.optim.Optimizer,
    state: TrainerState,
    conditions: dict[str, Any],
    random_of_others: Sequence[Any] = (),
) -> None:
    """Replaces the state of a run atomically.

    ``random_of_others`` are the random states of the processes after the first one.
    """
    document = {
        "conditions": conditions,
        "threads": torch.get_num_threads(),
        "random": random_states(model.device),
        "random_of_others": list(random_of_others),
        **state.as_json(),
    }
    tensors = {_DOCUMENT: torch.frombuffer(bytearray(json.dumps(document).encode()), dtype=torch.uint8)}
    tensors |= {_WEIGHTS + name: value.contiguous() for name, value in state_of(model).items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{number}.{name}": value.contiguous() for name, value in values.items()}
    with replacing_path(folder / STATE_FILE) as path:
        save_file(tensors, path, state_metadata())


@dataclass(frozen=True, slots=True)
class SavedState:
    """A saved state without its tensors, which ``restore`` loads. Damaged files raise ``ConfigError``."""

    folder: Path
    document: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "SavedState":
        """Reads the file of ``save_state``."""
        with _reporting_damage(folder), safe_open(folder / STATE_FILE, "pt") as file:
            return cls(folder, dict(json.loads(file.get_tensor(_DOCUMENT).numpy().tobytes())))

    def check(self, conditions: Mapping[str, Any], *, world_size: int) -> None:
        """Raises ``ConfigError`` with a line for each condition of the run that has changed."""
        with _reporting_damage(self.folder):
            saved_size = 1 + len(self.document.get("random_of_others", ()))
            lines = list(changes(self.document["conditions"], conditions, folder=self.folder.parent))
        run = self.folder.parent
        if world_size != saved_size:
            raise ConfigError(
                f"processes: found {world_size}, but {run} was started with {saved_size}, so it cannot be resumed"
            )
        if lines:
            raise ConfigError(lines)

    @contextlib.contextmanager
    def same_threads(self) -> Iterator[None]:
        """Sets the number of threads that the run had: with another number, sums would be rounded differently."""
        now = torch.get_num_threads()
        saved = self.document.get("threads", now)
        with _reporting_damage(self.folder):
            if not isinstance(saved, int) or not 1 <= saved <= MAX_THREADS:
                raise ValueError(f"threads: found {saved!r}")
        if saved != now:
            logger.info("using %d threads, as at the start of the run, instead of %d", saved, now)
            torch.set_num_threads(saved)
        try:
            yield
        finally:
            torch.set_num_threads(now)

    def trainer_state(self) -> TrainerState:
        """The progress of the run."""
        with _reporting_damage(self.folder):
            return TrainerState.from_json(self.document)

    def restore(self, model: Model, optimizer: torch.optim.Optimizer, *, rank: int = 0) -> None:
        """Sets the weights, the optimizer, and the random generators of a process."""
        with _reporting_damage(self.folder):
            tensors = load_file(self.folder / STATE_FILE)
            allowed = non_finite_buffers(model)
            # Not strictly: a tensor that has several names is saved under one of them.
            model.load_state_dict({name: tensors[_WEIGHTS + name] for name in state_of(model)}, strict=False)
            check_finite(model, self.folder / STATE_FILE, allowed=allowed)
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                if key.startswith(_OPTIMIZER):
                    number, _, name = key.removeprefix(_OPTIMIZER).partition(".")
                    moments.setdefault(int(number), {})[name] = value
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": moments, "param_groups": groups})
            random_state = self.document["random_of_others"][rank - 1] if rank else self.document["random"]
            set_random_states(random_state, model.device)


@contextlib.contextmanager
def _reporting_damage(folder: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGES as error:
        raise ConfigError(f"{folder}: contains no state from which a run can be resumed ({error})") from None


def seed_everything(seed: int) -> None:
    """Seeds every random generator that training uses."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_states(device: torch.device) -> dict[str, Any]:
    """The states of all random generators as JSON, including that of the GPU if the device is one."""
    numpy_state: Any = np.random.get_state(legacy=False)
    keys = numpy_state["state"]
    states = {
        "python": random.getstate(),
        "numpy": {**numpy_state, "state": {**keys, "key": keys["key"].tolist()}},
        "torch": torch.get_rng_state().tolist(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device).tolist()
    return states


def set_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    """Restores the states that ``random_states`` has returned."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    keys = states["numpy"]["state"]
    keys = {**keys, "key": np.array(keys["key"], dtype=np.uint32)}
    np.random.set_state({**states["numpy"], "state": keys})
    torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(torch.tensor(states["cuda"], dtype=torch.uint8), device)
