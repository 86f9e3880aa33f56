"""Model folders of older versions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from predicted_words import predict_words
from safetensors.torch import load_file, save_file

from machamp_lite.config import load_config
from machamp_lite.inference.ensembles import load_predictor as load
from machamp_lite.model.serialization import save_model
from machamp_lite.training.run import build_model, read_data


def test_a_regression_whose_standard_deviation_has_its_older_name_predicts_the_same(
    tmp_path: Path, tiny_params: str, pair_dataset: dict[str, Any], write_config: Callable[..., str]
) -> None:
    pair_dataset["tasks"] = {"degree": {"task_type": "regression", "column_idx": 4}}
    config = load_config([write_config(PAIRS=pair_dataset)], parameters_config=tiny_params)
    save_model(build_model(config, read_data(config)), tmp_path / "model")
    pairs = [["a dog sleeps", "the dog rests"], ["he left", "he stayed"]]
    expected = predict_words(load(tmp_path / "model"), pairs)
    path = tmp_path / "model" / "model.safetensors"
    weights = load_file(path)
    save_file({name.replace(".std", ".spread"): value for name, value in weights.items()}, path)
    assert "decoders.0.spread" in load_file(path)
    assert predict_words(load(tmp_path / "model"), pairs) == expected
