"""Devices by name: as in MaChAmp the number of a GPU or -1, or a device of torch."""

import re

from machamp_lite.errors import ConfigError

EXPECTED = "a number, -1, cpu, cuda:N or mps"


def device_named(text: str) -> str | None:
    """The name of a device in torch; None for a text that names none.

    >>> device_named("-1"), device_named("1"), device_named("cuda"), device_named("gpu")
    ('cpu', 'cuda:1', 'cuda', None)
    """
    text = text.strip()
    if text in ("-1", "cpu"):
        return "cpu"
    if text in ("cuda", "mps"):
        return text
    match = re.fullmatch(r"(?:cuda:)?(\d{1,9})", text, re.ASCII)
    return match and f"cuda:{int(match[1])}"


def find_device(device: str | None) -> str:
    """A device with its number; without a name, a GPU if there is one.

    Raises ``ConfigError`` for a device that this machine does not have.
    """
    import torch

    if device == "cpu":
        return "cpu"
    found = f"--device: found {(device or '').removeprefix('cuda:')}"
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError(f"{found}, but there is no such device; expected -1 for the CPU")
        return "mps"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is None and count == 0:
        return "cpu"
    number = int((device or "cuda").partition(":")[2] or 0)
    if number >= count:
        raise ConfigError(f"{found}, but there are {count} GPUs; expected -1 for the CPU")
    torch.cuda.set_device(number)
    return f"cuda:{number}"
