"""A fixture that builds models for the rows of ``task_type_cases``."""

from collections.abc import Callable
from pathlib import Path

import pytest
from task_type_cases import Case, Setting

from machamp_lite.acceleration import accelerate
from machamp_lite.config import load_config
from machamp_lite.training.run import build_model, read_data, seed_everything


@pytest.fixture
def make(
    tiny_params: str,
    encoders: dict[str, str],
    treebank: Path,
    pairs: Path,
    write_config: Callable[..., str],
) -> Callable[..., Setting]:
    def build(case: Case, *overrides: str) -> Setting:
        path = treebank if case.dataset == "words" else pairs
        reading = {"word_idx": 1} if case.dataset == "words" else {"sent_idxs": [0, 1]}
        task = {"task_type": case.task_type, **case.options}
        dataset = {
            "train_data_path": str(path),
            "dev_data_path": str(path),
            "tasks": {case.task: task},
            **reading,
        }
        overrides = (f"transformer_model={encoders[case.encoder]}", *overrides)
        config = load_config([write_config(DATA=dataset)], parameters_config=tiny_params, overrides=overrides)
        seed_everything(1)
        data = read_data(config)
        return Setting(case, data, accelerate(build_model(config, data)), path)

    return build
