"""Which precision a model computes in."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.inference.engine import autocast
from machamp_lite.model import precision
from machamp_lite.training.run import build_model, read_data

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_f": True}, "fp32"), ({}, "fp32")],
)
def test_auto_takes_what_the_hardware_has(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    precision.has_fast_bfloat16.cache_clear()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert precision.resolved("auto", CPU) == expected
    assert [precision.resolved(given, CPU) for given in ("fp32", "bf16")] == ["fp32", "bf16"]
    precision.has_fast_bfloat16.cache_clear()


def test_auto_is_fp32_if_torch_does_not_say_what_the_cpu_has(monkeypatch: pytest.MonkeyPatch) -> None:
    precision.has_fast_bfloat16.cache_clear()
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert precision.resolved("auto", CPU) == "fp32"
    precision.has_fast_bfloat16.cache_clear()


@pytest.mark.parametrize("given", ["fp32", "bf16"])
def test_matrix_multiplications_have_the_requested_precision(
    write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str, given: str
) -> None:
    overrides = [f"training.precision={given}"]
    config = load_config([write_config(UD=dataset)], parameters_config=tiny_params, overrides=overrides)
    model = build_model(config, read_data(config))
    left = torch.ones(2, 2)
    with autocast(model):
        assert (left @ left).dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[given]
    model.precision = "fp32"
    with autocast(model):
        assert (left @ left).dtype == torch.float32


def test_the_flag_sets_it_for_training_and_for_prediction_alone(
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    tiny_params: str,
    treebank: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    config, run = write_config(UD=dataset), str(tmp_path / "run")
    train = ["--dataset_configs", config, "--parameters_config", tiny_params, "--model_dir", run]
    assert cli.train([*train, "--precision", "bf16"]) == 0
    assert '"precision": "bf16"' in (tmp_path / "run" / "params-config.json").read_text()
    seen = []
    engine = sys.modules["machamp_lite.inference.engine"]
    monkeypatch.setattr(engine, "resolved", lambda given, device: seen.append(given) or "fp32")
    assert cli.predict([run, str(treebank), "out.conllu", "--precision", "fp32"]) == 0
    assert set(seen) == {"fp32"}
