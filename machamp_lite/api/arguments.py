"""Error messages for Python: the same faults as on the command line, which name arguments instead of flags."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from machamp_lite.errors import MachampError

# A flag, with its value if Python writes it in another way: -1 of --device, the folder of --resume and --retrain.
_FLAG = re.compile(r"--(\w+)(?: (-1\b|(?<=--resume )\S+|(?<=--retrain )\S+))?")
# Flags without a value become arguments with one.
_SWITCHES = {"overwrite", "resume", "plain", "raw_text", "pre_tokenized", "confidence"}
_NAMES = {
    "dataset_configs": "config",
    "parameters_config": "params",
    "model_dir": "folder",
    "set": "overrides",
    "topn": "top_k",
}


@contextmanager
def named_arguments(names: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turns the flags in the errors of the block into arguments; ``names`` overrides the names of some."""
    try:
        yield
    except MachampError as error:
        faults = [as_arguments(fault, names) for fault in error.faults]
        if faults == error.faults:
            raise
        raise type(error)(faults) from None


def as_arguments(fault: str, names: Mapping[str, str] | None = None) -> str:
    """The line of an error with arguments instead of flags; ``names`` overrides the names of some.

    >>> as_arguments("run: a run is already here; give another --model_dir, or --overwrite")
    'run: a run is already here; give another folder, or overwrite=True'
    >>> as_arguments("--tau: found no task of type seq in UD, expected one")
    'tau: found no task of type seq in UD, expected one'
    """

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name == "device" and match[2]:
            return "device='cpu'"
        if name == "retrain" and match[2]:
            return f"retrain={match[2]!r}"
        if names and name in names:
            return names[name]
        argument = _NAMES.get(name, name)
        is_place = match.start() == 0
        return f"{argument}{'=True' * (name in _SWITCHES and not is_place)}"

    return _FLAG.sub(replace, fault)
