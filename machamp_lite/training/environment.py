"""What a run was made with: versions, machine and data. A report shows it."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from machamp_lite.config.schema import Params
from machamp_lite.dataloading.datasets import RunData
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.model.pretrained import describe_origin
from machamp_lite.training.distributed import Processes

PACKAGES = ("machamp_lite", "torch", "transformers", "numpy", "safetensors")


def environment_document(
    data: RunData, *, device: str, processes: Processes, encoder: Mapping[str, str]
) -> dict[str, Any]:
    """The content of environment.json: it depends on the start of the run only, so that a resumed run keeps it.

    ``encoder`` is the origin of the pretrained encoder.
    """
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
        "encoder": dict(encoder),
    }


def encoder_origin(params: Params, encoder: Any, *, retrain: str | Path | None) -> dict[str, str]:
    """The pretrained encoder of a run, or the model that it starts from, without folders of this machine."""
    name = Path(params.transformer_model).name
    if retrain is not None:
        return {"name": name, "retrained_from": Path(retrain).resolve().name}
    if params.reset_transformer_model:
        return {"name": name, "weights": "random"}
    return describe_origin(params.transformer_model, encoder)


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
