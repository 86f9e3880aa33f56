"""The flag ``--device``."""

import argparse

from machamp_lite.errors import ConfigError
from machamp_lite.model.device import EXPECTED, device_named, find_device

HELP = "the number of a GPU, -1 or cpu for the CPU, cuda:N, or mps (default: a GPU if there is one)"


def parse_device(text: str) -> str:
    """The name of a device in torch."""
    if (device := device_named(text)) is None:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {EXPECTED}")
    return device


def choose_device(device: str | None, *, several: bool = False) -> str:
    """The device of this process; if there are ``several`` processes, each has its own GPU.

    Raises ``ConfigError`` for a device that this machine does not have.
    """
    import torch

    if several and device not in (None, "cpu", "cuda"):
        raise ConfigError(
            f"--device: found {device.removeprefix('cuda:')}, but torchrun gives each process its own GPU; expected "
            "-1, or no such flag"
        )
    if several and device != "cpu" and torch.cuda.is_available():
        from machamp_lite.training.distributed import set_local_device

        return f"cuda:{set_local_device()}"
    return find_device(device)
