"""An exported model predicts in ONNX Runtime what it predicts here, without torch."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exported_models import assert_same_predictions, randomize

from machamp_lite.api.predictor import Predictor
from machamp_lite.cli import commands
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.export.manifest import FORMAT, MANIFEST
from machamp_lite.export.onnx_folder import export_onnx
from machamp_lite.export.onnx_runtime import load_onnx
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model, save_model
from machamp_lite.training.run import build_model, read_data, seed_everything

for package in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(package)

WORD_TASKS: dict[str, dict[str, Any]] = {
    "upos": {"task_type": "seq", "column_idx": 3, "tau": 0.5},
    "lemma": {"task_type": "string2string", "column_idx": 2},
    "feats": {"task_type": "multiseq", "column_idx": 5, "threshold": 0.3},
    "tree": {"task_type": "dependency", "column_idx": 6},
    "spans": {"task_type": "seq_bio", "column_idx": 8},
    "mood": {"task_type": "classification", "column_idx": -1},
}
TEXT_TASKS: dict[str, dict[str, Any]] = {
    "same": {"task_type": "classification", "column_idx": 2, "pooling": "attention"},
    "topics": {"task_type": "multiclas", "column_idx": 3, "threshold": 0.3},
    "degree": {"task_type": "regression", "column_idx": 4},
    "votes": {"task_type": "probdistr", "column_idxs": [5, 6]},
}
# Each word once: with equal words at equal distances, trees have equal scores in DeBERTa.
LONG = "dogs the sleep old . ran Anna ? n't books who reads run do".split()
WORDS = [["Anna", "reads", "the", "old", "books", "."], ["Run"], ["Who", "ran", "?"], LONG]
TEXTS = [["a dog sleeps", "the dog rests"], ["he", "she"], ["trains " * 60, "buses run"]]


@pytest.fixture
def build(
    encoders: dict[str, str],
    dataset: dict[str, Any],
    pair_dataset: dict[str, Any],
    tiny_params: str,
    write_config: Callable[..., str],
) -> Callable[[str], Model]:
    """A model with random weights that has a task of every type with a graph."""

    def with_encoder(kind: str) -> Model:
        datasets = {"WORDS": dataset | {"tasks": WORD_TASKS}, "TEXTS": pair_dataset | {"tasks": TEXT_TASKS}}
        overrides = [f"transformer_model={encoders[kind]}"]
        config = load_config([write_config(**datasets)], parameters_config=tiny_params, overrides=overrides)
        seed_everything(1)
        model = build_model(config, read_data(config)).eval()
        randomize(model)
        return model

    return with_encoder


def assert_same(model: Model, folder: Path) -> None:
    exported = load_onnx(folder, threads=1)
    for name, inputs in (("WORDS", WORDS), ("TEXTS", TEXTS)):
        assert_same_predictions(model, exported, inputs, dataset=name, tolerance=1e-4)


def assert_same_arguments(model: Model, folder: Path) -> None:
    """``predict`` takes the arguments of a loaded model, and refuses those that would have no effect."""
    exported, loaded = load_onnx(folder), Predictor(model)
    arguments = [set(inspect.signature(one.predict).parameters) for one in (loaded, exported)]
    assert arguments[0] - arguments[1] == {"threshold", "tau", "min_confidence", "plain", "decisions"}
    for tasks in (["mood", "upos"], "tree"):
        expected = loaded.predict(WORDS, dataset="WORDS", tasks=tasks)
        found = exported.predict(WORDS, dataset="WORDS", tasks=tasks, batch_size=None, plain=False, tau=None)
        assert [one.labels for one in found] == [one.labels for one in expected]
    for options, fault in (
        ({"tasks": ["upo"]}, "tasks: unknown task 'upo'; did you mean 'upos'"),
        ({"threshold": 0.0}, "threshold: cannot be changed in a model in ONNX; .* machamp_lite.load"),
        ({"plain": True}, "plain: cannot be changed"),
        ({"batch_size": 0}, "batch_size: found 0, expected a number above 0"),
    ):
        with pytest.raises(ConfigError, match=f"^{fault}"):
            exported.predict(WORDS, dataset="WORDS", **options)
    with pytest.raises(TypeError, match="unexpected keyword argument 'taskss'"):
        exported.predict(WORDS, taskss=["upos"])


@pytest.mark.slow
def test_predictions_are_the_same_and_no_torch_is_imported(build: Callable[[str], Model], tmp_path: Path) -> None:
    model = build("wordpiece")
    export_onnx(model, tmp_path / "onnx", provenance={"machamp_lite": "1"})
    assert_same(model, tmp_path / "onnx")
    assert_same_arguments(model, tmp_path / "onnx")
    program = f"""
import sys, machamp_lite
model = machamp_lite.load_onnx({str(tmp_path / "onnx")!r})
print(model.predict(("Anna", "reads", "."), dataset="WORDS").labels["upos"])
assert not sys.modules.keys() & {{"torch", "transformers", "onnx", "onnxscript"}}
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    expected = Predictor(model).predict(("Anna", "reads", "."), dataset="WORDS")
    assert done.stdout.strip() == str(expected.labels["upos"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["bpe", "unigram", "distilbert", "electra", "modernbert", "deberta", "t5", "bart", "gpt2", "llama"]
)
def test_every_kind_of_encoder(build: Callable[[str], Model], tmp_path: Path, kind: str) -> None:
    model = build(kind)
    export_onnx(model, tmp_path / "onnx", provenance={})
    assert_same(model, tmp_path / "onnx")


@pytest.mark.parametrize(("kind", "fault"), [("canine", "Python program|padding"), ("byt5", "Python program")])
def test_encoders_that_cannot_be_exported_are_named(
    build: Callable[[str], Model], tmp_path: Path, kind: str, fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault):
        export_onnx(build(kind), tmp_path / "onnx", provenance={})
    assert not (tmp_path / "onnx").exists()


@pytest.mark.slow
def test_the_command_writes_8_bits(build: Callable[[str], Model], tmp_path: Path) -> None:
    save_model(build("wordpiece"), tmp_path / "model")
    for name, flags in (("fp32", []), ("int8", ["--int8"])):
        assert commands.main(["export", str(tmp_path / "model"), "--onnx", str(tmp_path / name), *flags]) == 0
        manifest = json.loads((tmp_path / name / MANIFEST).read_text(encoding="utf-8"))
        assert manifest["precision"] == name
        assert manifest["provenance"]["command"].startswith("machamp-lite export")
        assert str(tmp_path) not in json.dumps(manifest)
    sizes = {name: (tmp_path / name / "model.onnx").stat().st_size for name in ("fp32", "int8")}
    assert sizes["int8"] < sizes["fp32"]
    found = load_onnx(tmp_path / "int8").predict(WORDS, dataset="WORDS")
    expected = Predictor(load_model(tmp_path / "model")).predict(WORDS, dataset="WORDS")
    assert [one.labels.keys() for one in found] == [one.labels.keys() for one in expected]


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_a_wrong_number_of_threads_is_refused(tmp_path: Path, threads: Any) -> None:
    with pytest.raises(ConfigError, match=f"^threads: found {threads!r}, expected a number above 0"):
        load_onnx(tmp_path, threads=threads)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"format": FORMAT + 1}, f"found the format {FORMAT + 1}, expected {FORMAT}"),
        ({"tasks": 1}, "tasks: "),
        ({"more": 1}, "more: "),
        (None, "is missing or no JSON object"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any] | None, fault: str) -> None:
    for name in ("model.onnx", "decoding.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"")
    tokenizer = {
        "unknown_id": 0, "pad_id": 0, "before": [], "between": [], "after": [], "second_text_type": 0,
        "prefix": "", "between_words": [], "max_subwords": 9, "long_input": "truncate",
    }
    document = {
        "format": FORMAT, "provenance": {}, "precision": "fp32", "has_types": False, "has_dataset_ids": False,
        "tokenizer": tokenizer, "sources": [], "datasets": {}, "joined": [], "tasks": {},
    }
    if change is not None:
        (tmp_path / MANIFEST).write_text(json.dumps(document | change), encoding="utf-8")
    with pytest.raises(ConfigError, match=fault):
        load_onnx(tmp_path)
