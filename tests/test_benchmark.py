"""The benchmark gives all its figures, on small things; no test looks at how fast they are."""

import dataclasses
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from machamp_lite.cli import main as cli
from machamp_lite.errors import MachampError

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
FIGURES = {
    "training": ["training", "training_padded"],
    "base": ["base_512", "base_512_padded", "base_1024", "base_1024_padded"],
    "prediction": ["prediction", "prediction_padded"],
    "latency": ["latency"],
    "tasks": ["tasks_4", "tasks_10"],
    "epoch": ["epoch_8x"],
    "share": ["share_padded", "share_packed"],
    "memory": ["memory"],
    "reading": ["reading_cold", "reading_cached"],
    "startup": [f"startup_{name}" for name in ("help", "imports", "predict", "load", "load_onnx")],
    "onnx": ["onnx_fp32", "onnx_int8"],
    "serving": ["serving", "serving_workers"],
    "acceleration": [
        *(f"minilm_fp32_train_{name}" for name in ("dropout", "packing", "vocabulary", "allocator")),
        "minilm_fp32_predict_packing",
    ],
}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("benchmark")


@pytest.fixture
def section(benchmark: ModuleType) -> Callable[[str], ModuleType]:
    """Modules of the benchmark by name."""
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def flags(write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str) -> list[str]:
    """Of a tiny config, one round, on a machine with whatever load."""
    paths = ["--dataset_configs", write_config(D=dataset), "--parameters_config", tiny_params]
    return [*paths, "--busy", "--repeats", "1", "--words", "40"]


def run_here(command: list[str]) -> None:
    """Runs the commands that write something."""
    script, *arguments = command[1:]
    if Path(script).name == "train.py" and "--help" not in arguments:
        assert cli.train(arguments) == 0
    if Path(script).name == "predict.py":
        assert cli.predict(arguments) == 0
        assert Path(arguments[2]).read_text()


@pytest.mark.parametrize("name", FIGURES)
def test_every_section_gives_its_figures(
    name: str,
    benchmark: ModuleType,
    section: Callable[[str], ModuleType],
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(section("speed"), "BASE_SHAPE", SMALL)
    if name == "reading":
        # A fresh process imports for longer than all the rest takes; memory has two, which is enough.
        here = lambda function, subject, **arguments: function(subject, **arguments)  # noqa: E731
        monkeypatch.setattr(section("loading"), "in_fresh_process", here)
    monkeypatch.setattr(section("serving"), "SECONDS", 1.0)
    if name == "startup":
        monkeypatch.setattr(section("processes"), "run", run_here)
    target = tmp_path / "figures.json"
    arguments = [name, *flags, "--settings", "minilm_fp32", "--json", str(target)]
    assert benchmark.main(arguments) == 0, capsys.readouterr().err
    written = json.loads(target.read_text())
    assert list(written["figures"]) == FIGURES[name]
    table = capsys.readouterr().out
    for figure in written["figures"].values():
        assert all(value > 0 for value in figure["values"])
        assert f"| {figure['what']} |" in table
        assert (figure["reached"] is None) == (figure["at_least"] is None and figure["at_most"] is None)
    assert "not measured" not in written


def test_every_section_is_measured_unless_others_are_chosen(benchmark: ModuleType) -> None:
    assert set(FIGURES) == set(benchmark.SECTIONS)
    assert benchmark.chosen_sections([]) == [name for name in FIGURES if name not in benchmark.ON_REQUEST]
    assert benchmark.chosen_sections(["share", "training"]) == ["training", "share"]
    assert "base" not in benchmark.chosen_sections([], ["base"])


def test_an_unknown_section_is_reported_with_the_nearest(
    benchmark: ModuleType, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main(["training", "memroy", *flags]) == 1
    assert capsys.readouterr().err == "found 'memroy', expected sections by name; did you mean 'memory'?\n"


@pytest.mark.parametrize(("load", "code"), [(1.9, 0), (2.1, 1)])
def test_a_loaded_machine_is_refused(
    load: float,
    code: int,
    benchmark: ModuleType,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr(benchmark, "SECTIONS", {"share": lambda subject: []})
    patient = [flag for flag in flags if flag != "--busy"]
    assert benchmark.main(patient) == code
    error = capsys.readouterr().err
    assert ("the load of this machine is 2.1, expected at most 2.0 for 4 cores" in error) == bool(code)
    assert error.count("\n") == 1
    assert benchmark.main(flags) == 0
    assert f"load before: {load}" in capsys.readouterr().out


def test_what_a_config_cannot_have_is_said_and_the_rest_measured(
    benchmark: ModuleType,
    write_config: Callable[..., str],
    pair_dataset: dict[str, Any],
    tiny_params: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--dataset_configs", write_config(D=pair_dataset), "--parameters_config", tiny_params, "--busy"]
    assert benchmark.main(["tasks", "share", *flags]) == 0
    output = capsys.readouterr().out
    assert "not measured: tasks: the config has no task of type seq" in output
    assert "padded" in output


def test_faults_of_a_config_are_plain_lines(
    benchmark: ModuleType, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main([*flags, "--set", "training.num_epoch=1"]) == 1
    assert "num_epochs" in capsys.readouterr().err


def test_the_table_is_written(
    benchmark: ModuleType,
    section: Callable[[str], ModuleType],
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = section("figures")
    found = [
        figures.Figure("a", "fast <enough>", "ratio", (0.7, 0.9, 0.8), at_least=0.75),
        figures.Figure("b", "slow", "ratio", (1.3,), at_most=1.2),
        figures.Figure("c", "untold", "ratio", (0.5,)),
        figures.Figure("d", "wait", "s", (2.0, 4.0), at_most=5.0, sources={"start": 1234.5}),
    ]
    monkeypatch.setattr(benchmark, "SECTIONS", {"all": lambda subject: found})
    target = tmp_path / "markdown"
    assert benchmark.main([*flags, "--markdown", str(target)]) == 0
    table = target.read_text()
    assert table == capsys.readouterr().out
    assert table.splitlines()[-4:] == [
        "| fast <enough> | 0.800 | 0.700 to 0.900 | at least 0.75 | yes | - |",
        "| slow | 1.300 | - | at most 1.20 | no | - |",
        "| untold | 0.500 | - | - | - | - |",
        "| wait | 3.00 s | 2.00 s to 4.00 s | at most 5.00 s | yes | start 1,234 |",
    ]


def test_bare_groups_have_the_subwords_of_the_batches_in_rows_of_one_length(
    section: Callable[[str], ModuleType], benchmark: ModuleType, flags: list[str]
) -> None:
    subject = section("subject")
    config = subject.Subject([flags[1]], flags[3], [], 4, 40, 1).config()
    batches = [list(batch) for batch in subject.read(config, sentences=None).batches()]
    for batch, inputs in zip(batches, subject.equal_length_groups(batches), strict=True):
        rows, ids = subject.rows_of(batch), inputs["input_ids"]
        assert inputs.keys() == {"input_ids"}
        assert {tuple(row) for row in ids.tolist()} <= {tuple(row.tolist()) for row in rows}
        assert abs(ids.numel() - sum(map(len, rows))) <= ids.shape[1] / 2


def test_padded_groups_are_the_batches_with_a_mask_over_their_padding(
    section: Callable[[str], ModuleType], benchmark: ModuleType, flags: list[str]
) -> None:
    subject = section("subject")
    config = subject.Subject([flags[1]], flags[3], [], 4, 40, 1).config()
    batches = [list(batch) for batch in subject.read(config, sentences=None).batches()]
    for batch, inputs in zip(batches, subject.padded_groups(batches, pad_id=0), strict=True):
        rows, ids = subject.rows_of(batch), inputs["input_ids"]
        mask = inputs.get("attention_mask", torch.ones_like(ids))
        for row, padded, own in zip(rows, ids, mask, strict=True):
            assert padded[: len(row)].tolist() == row.tolist()
            assert own.tolist() == [1] * len(row) + [0] * (len(padded) - len(row))


def test_files_are_repeated_until_there_are_enough_words(
    section: Callable[[str], ModuleType],
    benchmark: ModuleType,
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    pair_dataset: dict[str, Any],
    tiny_params: str,
    tmp_path: Path,
) -> None:
    subject, loading = section("subject"), section("loading")
    datasets = {"TREES": dataset, "PAIRS": {**pair_dataset, "skip_first_line": True}}
    config = subject.Subject([write_config(**datasets)], tiny_params, [], 4, 100, 1).config()
    files, words = loading.repeated_files(config, words=100, folder=tmp_path)
    once = {name: Path(config.datasets[name].train_data_path).read_text() for name in datasets}
    times = Path(files["TREES"]).read_text().count("sent_id = 1\n")
    assert 100 <= words < 2 * 100
    assert Path(files["TREES"]).read_text() == times * once["TREES"]
    header, body = once["PAIRS"].split("\n", 1)
    assert Path(files["PAIRS"]).read_text() == f"{header}\n" + times * body


def test_tag_tasks_are_the_first_one_again(
    section: Callable[[str], ModuleType], benchmark: ModuleType, flags: list[str]
) -> None:
    config = section("subject").Subject([flags[1]], flags[3], [], 4, 40, 1).config()
    tasks = section("scaling").with_tag_tasks(config, 4).tasks()
    assert list(tasks) == ["upos", "upos 2", "upos 3", "upos 4"]
    assert all(task == config.tasks()["upos"] for task in tasks.values())


def test_repeated_data_is_drawn_from_as_before(
    section: Callable[[str], ModuleType], benchmark: ModuleType, flags: list[str]
) -> None:
    subject, scaling = section("subject"), section("scaling")
    config = subject.Subject([flags[1]], flags[3], [], 4, 40, 1).config()
    (stream,) = subject.read(config, sentences=3).streams
    sampling_weights = np.array([0.5, 0.25, 0.25])
    often = scaling.repeated(dataclasses.replace(stream, sampling_weights=sampling_weights), 8)
    assert [one.source for one in often.examples] == 8 * [one.source for one in stream.examples]
    assert often.sampling_weights.reshape(8, 3).sum(0) == pytest.approx(sampling_weights)


def test_the_share_is_that_of_rows_as_long_as_the_longest(
    section: Callable[[str], ModuleType], benchmark: ModuleType
) -> None:
    assert section("speed").filled([np.array([2, 4]), np.array([2])]) == 0.8


def test_a_failed_process_is_reported_in_one_line(
    section: Callable[[str], ModuleType], benchmark: ModuleType
) -> None:
    with pytest.raises(MachampError, match=r"ended with 1 \(ValueError: no\)"):
        section("processes").run([sys.executable, "-c", "raise ValueError('no')"])


def test_an_unknown_setting_of_acceleration_is_reported_with_the_nearest(
    benchmark: ModuleType, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.main(["acceleration", *flags, "--settings", "minilm_fp16"]) == 1
    assert "did you mean 'minilm_bf16'?" in capsys.readouterr().err


def test_a_process_of_acceleration_that_fails_is_reported(
    benchmark: ModuleType, section: Callable[[str], ModuleType], flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(section("acceleration"), "WORKER", "raise SystemExit(3)")
    subject = section("subject").Subject([], None, [], sentences=1, words=1, repeats=1)
    with (
        section("acceleration").worker(subject, "train", "dropout", gpu=False) as run,
        pytest.raises(MachampError, match="the process for train without dropout ended with 3"),
    ):
        run()
