"""Versions, data files and the config of a run, which must be the same when it is resumed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from machamp_lite.config.error_messages import show
from machamp_lite.config.schema import Config
from machamp_lite.training.run_folder import DATASET_CONFIGS, PARAMS_CONFIG, config_documents

# Increased when the format of a state changes, or when a resumed run would compute something else.
STATE_FORMAT = 9
_ABSENT = object()


def conditions_of(config: Config, checksums: Mapping[str, str]) -> dict[str, Any]:
    """Versions, checksums of all data files, and the config, as JSON."""
    conditions = {
        "versions": {"torch": str(torch.__version__), "the format of states": STATE_FORMAT},
        "data": dict(checksums),
        "configs": config_documents(config),
    }
    # Equal to what is read from a state: tuples become lists.
    return dict(json.loads(json.dumps(conditions)))


def changes(before: Mapping[str, Any], now: Mapping[str, Any], *, folder: Path) -> Iterator[str]:
    """A line for each version, data file and key of the config that has changed since a run was started."""
    for name, version in now["versions"].items():
        if (expected := before["versions"].get(name)) != version:
            yield f"{name}: found {version}, but {folder} was started with {expected}, so it cannot be resumed"
    for path, found in now["data"].items():
        if path in before["data"] and before["data"][path] != found:
            yield f"{path}: has changed since {folder} was started, so it cannot be resumed"
    for name in (PARAMS_CONFIG, DATASET_CONFIGS):
        for key, old, new in _differences(before["configs"][name], now["configs"][name]):
            yield (
                f"{folder / name}: {' -> '.join(key)}: found {_shown(new)}, expected {_shown(old)}, with "
                "which the run was started"
            )


def _differences(before: Any, now: Any, *keys: str) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """The keys that lead to a difference, and both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from _differences(before.get(key, _ABSENT), now.get(key, _ABSENT), *keys, key)
    elif before != now:
        yield keys, before, now


def _shown(value: Any) -> str:
    return "nothing" if value is _ABSENT else show(value)
