"""Every random generator that training may draw from: their seeds, and their states as JSON."""

import random
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seeds every random generator that training draws from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_states(device: torch.device) -> dict[str, Any]:
    """The states of all generators, with that of a GPU if it is the device."""
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


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Puts all generators where they stood."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    keys = states["numpy"]["state"]
    keys = {**keys, "key": np.array(keys["key"], dtype=np.uint32)}
    np.random.set_state({**states["numpy"], "state": keys})
    torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(torch.tensor(states["cuda"], dtype=torch.uint8), device)
