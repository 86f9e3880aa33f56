"""What a run was made with: versions, machine and data. A report shows it."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from machamp_lite.dataloading.datasets import RunData
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.training.distributed import Processes

PACKAGES = ("machamp_lite", "torch", "transformers", "numpy", "safetensors")


def environment_document(data: RunData, *, device: str, processes: Processes) -> dict[str, Any]:
    """The content of environment.json: it depends on the start of the run only, so that a resumed run keeps it."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
            "cpu_cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "processes": processes.world_size,
        },
        "data": {
            name: {
                "train": _size(data.train[name]),
                **({"dev": _size(data.dev[name])} if name in data.dev else {}),
            }
            for name in data.train
        },
        "checksums": dict(data.checksums),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            # Used from a checkout without being installed.
            continue
    return found


def _size(examples: ExampleStore) -> Mapping[str, int]:
    sentences = examples.sentences()
    return {"sentences": len(sentences), "words": int(sentences.column("num_words").sum())}
