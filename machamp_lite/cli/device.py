"""The flag ``--device``: as in MaChAmp the number of a GPU or -1, or a device of torch."""

import argparse
import re

from machamp_lite.errors import ConfigError

HELP = "the number of a GPU, -1 or cpu for the CPU, cuda:N, or mps (default: a GPU if there is one)"


def parse_device(text: str) -> str:
    """The name of a device in torch."""
    text = text.strip()
    if text in ("-1", "cpu"):
        return "cpu"
    if text in ("cuda", "mps"):
        return text
    match = re.fullmatch(r"(?:cuda:)?(\d{1,9})", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number, -1, cpu, cuda:N or mps")
    return f"cuda:{int(match[1])}"


def choose_device(device: str | None, *, several: bool = False) -> str:
    """The device of this process; if there are ``several`` processes, each has its own GPU.

    Raises ``ConfigError`` for a device that this machine does not have.
    """
    import torch

    if device == "cpu":
        return "cpu"
    found = f"--device: found {(device or '').removeprefix('cuda:')}"
    if several and device not in (None, "cuda"):
        raise ConfigError(
            f"{found}, but torchrun gives each process its own GPU; expected -1, or no such flag"
        )
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError(f"{found}, but there is no such device; expected -1 for the CPU")
        return "mps"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is None and count == 0:
        return "cpu"
    if several and count > 0:
        from machamp_lite.training.distributed import set_local_device

        return f"cuda:{set_local_device()}"
    number = int((device or "cuda").partition(":")[2] or 0)
    if number >= count:
        raise ConfigError(f"{found}, but there are {count} GPUs; expected -1 for the CPU")
    torch.cuda.set_device(number)
    return f"cuda:{number}"
