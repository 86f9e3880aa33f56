"""Cross-validation: each run leaves out one fold of the training data, and its model predicts that fold.

folds.json               the fold of each sentence of the training data, from 1, by dataset
data/fold_N/DATASET.*    the training data without fold N
DATASET.out              the training data with the labels that are predicted by the models that have not seen them
"""

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from machamp_lite.acceleration import load_accelerated
from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.formats import ARROW_FORMATS, GZIP_SUFFIX, Write, format_of
from machamp_lite.data.records import Record, read_records, record_writer
from machamp_lite.dataloading.dataset_reader import limited
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.errors import ConfigError, counted
from machamp_lite.files.atomic import write_json
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.run_files import FOLD_DATA, FOLDS, OUTPUT, SCORES
from machamp_lite.files.temporaries import temporary_folder
from machamp_lite.inference.evaluation import MetricTracker, Scores
from machamp_lite.inference.predictor import official_ud_scores, predict_records
from machamp_lite.inference.scores_file import write_scores_file
from machamp_lite.training.run_folder import PREDICTIONS
from machamp_lite.training.run_group import RunGroup

# The fold of each sentence, by dataset.
Folds = Mapping[str, Sequence[int]]


def fold_configs(config: Config, folder: Path, number: int) -> dict[str, Config]:
    """The config of the run of each fold, by its name; its training data is in ``folder``."""
    configs = {}
    for run in (f"fold_{fold}" for fold in range(1, number + 1)):
        datasets = {}
        for name, dataset in config.datasets.items():
            path = str(_file_of(folder / FOLD_DATA, run, name, dataset))
            changed = {"train_data_path": path, "max_sents": None, "max_words": None}
            datasets[name] = dataset.model_copy(update=changed)
        configs[run] = config.model_copy(update={"datasets": datasets})
    return configs


def _file_of(folder: Path, run: str, name: str, dataset: DatasetConfig) -> Path:
    """A file for a part of the training data, with its suffix."""
    return folder / run / f"{name}{Path(str(dataset.train_data_path).removesuffix(GZIP_SUFFIX)).suffix}"


def make_folds(config: Config, folder: Path, number: int, *, by: str) -> Folds:
    """The folds in a folder or, in a new one, those of the seed; writes nothing.

    With ``by`` "document", the sentences of a document of CoNLL-U stay together. Raises ``ConfigError`` if a dataset
    has fewer sentences or documents than folds.
    """
    return read_json_object(folder / FOLDS) or {
        name: _split(dataset, number, by=by, seed=config.params.random_seed)
        for name, dataset in config.datasets.items()
    }


def write_folds(config: Config, folder: Path, number: int, folds: Folds) -> None:
    """Writes the folds and the training data of each run, unless they are already there."""
    write_json(folder / FOLDS, folds)
    for fold, run in enumerate(fold_configs(config, folder, number), start=1):
        for name, dataset in config.datasets.items():
            target = _file_of(folder / FOLD_DATA, run, name, dataset)
            if not target.exists():
                with _writer(dataset, target) as write:
                    for record, _ in _of_folds(dataset, folds[name], set(folds[name]) - {fold}):
                        write(record)


def _split(config: DatasetConfig, number: int, *, by: str, seed: int) -> list[int]:
    """The fold of each sentence of a dataset."""
    path = str(config.train_data_path)
    if format_of(path, config.format) in ARROW_FORMATS:
        # Rows of these formats are only written in the order of the source.
        raise ConfigError(f"--folds: {path} is in Arrow or Parquet, expected another format; convert it to JSON lines")
    units = list(_units(config, by=by))
    if (found := len(set(units))) < number:
        raise ConfigError(f"--folds: {path} has {counted(found, by)}, expected at least {number}")
    return assign_folds(units, number, seed=seed)


def assign_folds(units: Sequence[int], number: int, *, seed: int) -> list[int]:
    """The fold, from 1, of each sentence, given the unit that it belongs to.

    Units are taken in random order, and each goes to the fold that has the fewest sentences so far.
    """
    sizes = Counter(units)
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    in_fold, fold_of = [0] * number, dict[int, int]()
    for unit in order:
        fold = in_fold.index(min(in_fold))
        in_fold[fold] += sizes[unit]
        fold_of[unit] = fold + 1
    return [fold_of[unit] for unit in units]


def _records(config: DatasetConfig) -> Iterator[Record]:
    """The training data of a dataset, as far as it is used."""
    source = str(config.train_data_path)
    return limited(read_records(source, file_format_of(config), required=config.text_columns()), config)


def _units(config: DatasetConfig, *, by: str) -> Iterator[int]:
    """The number of the document, or of the sentence itself, of each sentence."""
    unit = 0
    for record in _records(config):
        starts = [line[1:].split()[:1] == ["newdoc"] for _, line in record.comment_lines()]
        if record.rows:
            unit += by == "sentence" or any(starts)
            yield unit


def _of_folds(
    config: DatasetConfig, folds: Sequence[int], kept: Collection[int]
) -> Iterator[tuple[Record, int | None]]:
    """The records of some folds, each with its fold; those without a sentence, such as headers, have none."""
    remaining = iter(folds)
    for record in _records(config):
        fold = next(remaining) if record.rows else None
        if fold is None or fold in kept:
            yield record, fold


class _FoldTracker(MetricTracker):
    """The scores of one fold, which are also added to those of all folds."""

    def __init__(self, tasks: Mapping[str, TaskOptions], overall: MetricTracker) -> None:
        super().__init__(tasks)
        self._overall = overall
        self.issues, self.calibration = overall.issues, overall.calibration

    def add(self, gold: Mapping[str, Any], predicted: Mapping[str, Any], *, words: Sequence[str]) -> None:
        super().add(gold, predicted, words=words)
        self._overall.add(gold, predicted, words=words)


def predict_folds(
    group: RunGroup, config: Config, folds: Folds, *, device: str
) -> tuple[dict[str, dict[str, Scores]], dict[str, Scores]]:
    """Predicts each sentence with the model of its fold, into ``DATASET.out`` with its scores file.

    Returns the scores of each run by dataset, and those of all sentences by dataset.
    """
    overall: dict[str, MetricTracker] = {}
    by_run: dict[str, dict[str, Scores]] = {}
    datasets = {name: dataset for name, dataset in config.datasets.items() if dataset.active().tasks}
    with temporary_folder(group.folder / PREDICTIONS) as temporary:
        for fold, run in enumerate(group.configs, start=1):
            model = load_accelerated(group.folder / run, device=device)
            by_run[run] = {}
            for name, dataset in datasets.items():
                tasks = model.config.datasets[name].tasks
                tracker = _FoldTracker(tasks, overall.setdefault(name, MetricTracker(tasks)))
                records = (record for record, _ in _of_folds(dataset, folds[name], {fold}))
                with _writer(dataset, _file_of(temporary, run, name, dataset)) as write:
                    for record in predict_records(model, name, records, tracker=tracker):
                        write(record)
                by_run[run][name] = tracker.scores()
        written = []
        for name, dataset in datasets.items():
            target, scores_file = (temporary / f"{name}{ending}" for ending in (OUTPUT, SCORES))
            _merge(dataset, folds[name], [_file_of(temporary, run, name, dataset) for run in group.configs], target)
            is_whole = dataset.max_sents is None and dataset.max_words is None
            source, eval_format = str(dataset.train_data_path), config.params.training.eval_format
            official = official_ud_scores(overall[name], dataset, source, target) if is_whole else {}
            write_scores_file(overall[name], str(scores_file), eval_format=eval_format, official=official)
            written += [path for path in (target, scores_file) if path.exists()]
        group.replace_outputs(written)
    return by_run, {name: tracker.scores() for name, tracker in overall.items()}


def _merge(config: DatasetConfig, folds: Sequence[int], parts: Sequence[Path], target: Path) -> None:
    """Writes the predicted sentences of all folds in the order of the training data."""
    readers = [filter(lambda record: record.rows, read_records(part, file_format_of(config))) for part in parts]
    with _writer(config, target) as write:
        for record, fold in _of_folds(config, folds, set(folds)):
            write(record if fold is None else next(readers[fold - 1]))


def _writer(config: DatasetConfig, target: Path) -> AbstractContextManager[Write]:
    target.parent.mkdir(parents=True, exist_ok=True)
    return record_writer(target, str(config.train_data_path), file_format_of(config))
