"""Whole runs of train.py and predict.py with all optimisations, and without each of them.

A ratio is the time without an optimisation over the time with all: above 1, the optimisation saves time. Each run is
written to ``--results`` when it ends, and is not repeated when the benchmark is called again with the same file.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, NotMeasuredError, seconds
from benchmarks.processes import ROOT, run
from benchmarks.speed import BASE_SHAPE
from benchmarks.subject import Subject, base_shape_encoder, first_records
from machamp_lite.acceleration import WITHOUT
from machamp_lite.errors import ConfigError, did_you_mean
from machamp_lite.files.atomic import write_json

ALL = "nothing"
# By command and precision, the optimisations that change anything on a CPU.
TRAINING = {
    "fp32": ("dropout", "packing", "vocabulary", "allocator"),
    "bf16": ("dropout", "packing", "vocabulary", "allocator", "linear", "primitives"),
}
PREDICTION = {"fp32": ("packing",), "bf16": ("packing", "linear", "bf16_copy", "primitives")}
SETTINGS = ("minilm_fp32", "minilm_bf16", "base_fp32", "base_bf16")
# A run with BERT-base's shape takes about as long with this part of the sentences.
FEWER = 6
EPOCHS = 2


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command, without an optimisation or without ``ALL``: nothing."""

    setting: str
    command: str
    without: str
    round: int

    @property
    def key(self) -> str:
        """The name of the run in the results."""
        return f"{self.setting} {self.command} without {self.without}, round {self.round}"


def acceleration(subject: Subject) -> list[Figure]:
    """The ratios of all measured runs, after measuring missing ones for ``--minutes``."""
    settings = subject.settings or SETTINGS
    if unknown := [name for name in settings if name not in SETTINGS]:
        raise ConfigError(f"--settings: found '{unknown[0]}'{did_you_mean(unknown[0], SETTINGS)}")
    path = Path(subject.results) if subject.results else None
    results: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    end = time.monotonic() + 60 * subject.minutes
    left = 0
    with tempfile.TemporaryDirectory() as folder:
        for setting in settings:
            missing = [each for each in runs(setting, subject.repeats) if each.key not in results]
            setup: Setup | None = None
            for each in missing:
                if time.monotonic() > end:
                    left += 1
                    continue
                setup = setup or Setup(subject, setting, Path(folder, setting))
                results[each.key] = setup.time(each)
                if path:
                    write_json(path, results)
    if left:
        print(f"acceleration: {left} runs are left; call it again with the same --results", file=sys.stderr)
    figures = [figure for setting in settings for figure in figures_of(setting, subject.repeats, results)]
    if not figures:
        raise NotMeasuredError("no pair of runs is measured yet")
    return figures


def runs(setting: str, repeats: int) -> Iterator[Run]:
    """All runs of a setting, interleaved; every other round is in reverse order. Round 0 warms up."""
    precision = setting.rpartition("_")[2]
    for command, names in (("train", TRAINING[precision]), ("predict", PREDICTION[precision])):
        for number in range(repeats + 1):
            variants = [ALL, *names] if number else [ALL]
            for without in variants[::-1] if number % 2 else variants:
                yield Run(setting, command, without, number)


def figures_of(setting: str, repeats: int, results: dict[str, float]) -> Iterator[Figure]:
    """The ratios of a setting for which at least one round is measured."""
    precision = setting.rpartition("_")[2]
    for command, names in (("train", TRAINING[precision]), ("predict", PREDICTION[precision])):
        for without in names:
            pairs = [
                tuple(results.get(Run(setting, command, name, number).key) for name in (without, ALL))
                for number in range(1, repeats + 1)
            ]
            values = tuple(one / other for one, other in pairs if one is not None and other is not None)
            if values:
                name = f"{setting}_{command}_{without}"
                yield Figure(name, f"{setting}, {command}.py without {without}", "ratio", values)


class Setup:
    """The files of a setting: a part of the data, an encoder, and a trained model for prediction."""

    def __init__(self, subject: Subject, setting: str, folder: Path) -> None:
        encoder, _, self.precision = setting.rpartition("_")
        self.folder = folder
        folder.mkdir()
        config = subject.config()
        sentences = max(1, subject.sentences // (FEWER if encoder == "base" else 1))
        overrides = [*subject.overrides, f"training.num_epochs={EPOCHS}"]
        for number, (name, dataset) in enumerate(config.datasets.items()):
            part = folder / f"{number}{Path(str(dataset.train_data_path)).suffix}"
            part.write_text(first_records(dataset, sentences), encoding="utf-8", newline="")
            overrides += [f"{name}.train_data_path={part}", f"{name}.dev_data_path={part}"]
            self.input, self.dataset = part, name
        if encoder == "base":
            base_shape_encoder(config.params.transformer_model, str(folder / "encoder"), BASE_SHAPE)
            overrides += [f"transformer_model={folder / 'encoder'}", "reset_transformer_model=true"]
        self.options = ["--dataset_configs", *subject.dataset_configs]
        if subject.parameters_config:
            self.options += ["--parameters_config", subject.parameters_config]
        self.options += [option for override in overrides for option in ("--set", override)]

    def time(self, each: Run) -> float:
        """The seconds of one run."""
        if each.command == "train":
            return seconds(lambda: self._train(self.folder / "run", each.without))
        model = self.folder / "model"
        if not model.exists():
            self._train(model, ALL)
        command = [*map(str, (ROOT / "predict.py", model, self.input, self.folder / "output"))]
        return seconds(lambda: self._run([*command, "--dataset", self.dataset], each.without))

    def _train(self, folder: Path, without: str) -> None:
        self._run([str(ROOT / "train.py"), *self.options, "--model_dir", str(folder), "--overwrite"], without)

    def _run(self, command: list[str], without: str) -> None:
        options = ["--device", "-1", "--precision", self.precision]
        names = "" if without == ALL else without
        run([sys.executable, *command, *options], environment={WITHOUT: names})
