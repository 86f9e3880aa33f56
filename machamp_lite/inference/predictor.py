"""Records in, annotated records out."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machamp_lite.config.schema import decoder_class
from machamp_lite.data.chunks import in_chunks
from machamp_lite.data.records import Record, read_records
from machamp_lite.dataloading.dataset_reader import CHUNK, InstanceReader
from machamp_lite.dataloading.example import layout_of
from machamp_lite.dataloading.remarks import Remarks, warnings
from machamp_lite.errors import ConfigError, DataError, FaultList, OutputError
from machamp_lite.files.atomic import open_output, write_json
from machamp_lite.files.paths import check_pairs, scores_path
from machamp_lite.files.streams import DISK_FAULTS, AnyPath, readable
from machamp_lite.inference.dataset_matching import choose_dataset, fitting_dataset
from machamp_lite.inference.evaluation import ScoreKeeper, Scores, predict_labels, rank_labels
from machamp_lite.inference.raw_text import check_raw_text, raw_text_records
from machamp_lite.inference.thresholds import check_threshold, overridden_threshold
from machamp_lite.model.multitask_model import Model

logger = logging.getLogger(__name__)

CONNECTION, SEPARATOR = "=", "|"


def check_options(
    model: Model, dataset: str, *, raw_text: bool, pre_tokenized: bool, threshold: float | None
) -> None:
    """Raises ``ConfigError`` for an option that the dataset cannot have."""
    config = model.config.datasets[dataset]
    if not config.active().tasks:
        raise ConfigError(
            f"{dataset}: every task is switched off (loss_weight 0), expected a dataset with tasks to predict"
        )
    if raw_text:
        check_raw_text(config, dataset, pre_tokenized=pre_tokenized)
    if threshold is not None:
        check_threshold(config, dataset, flag="--threshold")


def predict_file(
    model: Model,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    dataset: str | None = None,
    raw_text: bool = False,
    pre_tokenized: bool = False,
    batch_size: int | None = None,
    max_sents: int | None = None,
    threshold: float | None = None,
    top_n: int | None = None,
    conn: str = CONNECTION,
    sep: str = SEPARATOR,
    keeper: ScoreKeeper | None = None,
    warns: bool = True,
) -> Scores:
    """Predicts every task of a dataset for a file and writes it with those labels, all else byte for byte.

    Scores, of the tasks for which the file has gold labels, are returned, and written to ``target.eval`` with those of
    each label, if there are any; a ``keeper`` of the dataset's tasks that is given holds them afterwards. The options
    are those of ``predict.py``. Raises ``DataError`` if the file cannot be read, ``ConfigError`` if ``check_pairs``
    finds a fault, and ``OutputError`` if the disk is full; no file is written then.

    Gold labels that cannot be used are counted in the scores file, and in a warning unless ``warns`` is false.

    ``-`` is standard input or output. A pipe or a device is written to as prediction goes, and has no scores file.
    """
    check_pairs([(source, target)], model_folder=model.folder)
    with readable(source) as source:
        name = fitting_dataset(model.config, dataset, source, raw_text=raw_text)
        config = model.config.datasets[name]
        check_options(model, name, raw_text=raw_text, pre_tokenized=pre_tokenized, threshold=threshold)
        keeper = keeper or ScoreKeeper(config.tasks)
        faults = FaultList()
        if raw_text:
            records = raw_text_records(
                model, name, source, pre_tokenized=pre_tokenized, batch_size=batch_size, faults=faults
            )
        else:
            records = read_records(source, layout_of(config), required=config.text_columns(), faults=faults)
        if max_sents is not None:
            records = _first(records, max_sents, faults, str(source))
        with overridden_threshold(model, name, threshold), _writing(target), open_output(target) as file:
            for record in predict_records(
                model,
                name,
                records,
                keeper=keeper,
                batch_size=batch_size,
                top_n=top_n,
                conn=conn,
                sep=sep,
                from_raw_text=raw_text,
            ):
                file.write(record.text())
    scores_file = scores_path(target)
    if scores_file is not None:
        with _writing(scores_file):
            _write_scores(keeper, scores_file)
    if warns:
        warn_of_gold(keeper, source)
    return keeper.scores()


def warn_of_gold(keeper: ScoreKeeper, source: AnyPath) -> None:
    """Warns of gold labels of a predicted file that its scores leave out."""
    lines = [f"{source}: {line}" for line in keeper.warnings()]
    for line in [*warnings(keeper.remarks, str(source), left_out_of="the scores"), *lines]:
        logger.warning("%s", line)


def predict_records(
    model: Model,
    dataset: str,
    records: Iterable[Record],
    *,
    keeper: ScoreKeeper | None = None,
    batch_size: int | None = None,
    top_n: int | None = None,
    conn: str = CONNECTION,
    sep: str = SEPARATOR,
    from_raw_text: bool = False,
) -> Iterator[Record]:
    """Writes predicted labels into records, in order; with a keeper, gold labels are scored first.

    Where a task's ``topn`` (or ``top_n``, for all tasks) is above 1, each label is followed by the next best ones.
    Words that were made ``from_raw_text`` are no gold for the task that makes them.
    """
    config = model.config.datasets[dataset].active()
    decoders = {task: decoder_class(options) for task, options in config.tasks.items()}
    numbers = {task: top_n or options.topn for task, options in config.tasks.items() if decoders[task].ranks}
    ranks = {task: number for task, number in numbers.items() if number > 1}
    # A task does not overwrite its own input.
    unwritten = config.text_tasks()
    for task, column in unwritten.items():
        message = "%s: the labels of the task '%s' are not written: column %d is one of the texts (sent_idxs)"
        logger.warning(message, dataset, task, column)
    if from_raw_text:
        tasks = {task: options for task, options in config.tasks.items() if decoders[task].reads != "raw"}
        config = config.model_copy(update={"tasks": tasks})
    reader = InstanceReader(
        name=dataset, config=config, tokenizer=model.tokenizer, vocabularies=model.vocabularies
    )
    remarks = Remarks() if keeper is None else keeper.remarks
    for chunk in in_chunks(records, CHUNK):
        with_words = [record for record in chunk if record.rows]
        gold = reader.annotations(with_words, remarks)
        views = reader.instances(with_words, gold)
        owners = [number for number, instances in enumerate(views) for _ in instances]
        instances = [instance for instances in views for instance in instances]
        for place, labels, ranked in rank_labels(model, instances, top_n=ranks, batch_size=batch_size):
            record, instance = with_words[owners[place]], instances[place]
            if keeper is not None:
                keeper.add(instance.labels, labels, words=instance.words)
            for task, task_labels in labels.items():
                if task in unwritten:
                    continue
                decoder, options = decoders[task], config.tasks[task]
                if task in ranked:
                    decoder.write_ranked(record, ranked[task], task=task, config=options, conn=conn, sep=sep)
                else:
                    decoder.write_labels(record, task_labels, task=task, config=options)
        yield from chunk


def predict_words(
    model: Model, sentences: Iterable[Iterable[str]], *, dataset: str | None = None
) -> list[dict[str, list[Any]]]:
    """The labels of tokenised sentences (or of the texts of a TSV row) by task.

    Tasks that label no words or texts (``mlm``, ``tok``) have none.
    """
    name = choose_dataset(model.config, dataset)
    records = []
    for number, sentence in enumerate(sentences, start=1):
        if isinstance(sentence, str):
            raise DataError(f"sentence {number}: found the text '{sentence}', expected a list of words")
        words = list(sentence)
        if not words:
            raise DataError(f"sentence {number}: found no words, expected at least one")
        records.append(Record("input", number, [], [[] for _ in words], list(range(len(words))), words))
    reader = InstanceReader(
        name=name,
        config=model.config.datasets[name].active(),
        tokenizer=model.tokenizer,
        vocabularies=model.vocabularies,
    )
    views = reader.instances(records, [{} for _ in records])
    instances = [
        [instance for instance in instances if instance.view in ("words", "subwords")] for instances in views
    ]
    owners = [number for number, own in enumerate(instances) for _ in own]
    predicted: list[dict[str, list[Any]]] = [{} for _ in records]
    for place, labels in predict_labels(model, [instance for own in instances for instance in own]):
        predicted[owners[place]] |= labels
    return predicted


def _first(records: Iterable[Record], number: int, faults: FaultList, path: str) -> Iterator[Record]:
    """The records up to the sentence of that number; raises ``DataError`` for the faults found so far."""
    sentences = 0
    for record in records:
        yield record
        sentences += bool(record.rows)
        if sentences == number:
            break
    if faults.count:
        raise DataError(faults.lines(path))


@contextmanager
def _writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns an error of the system about an output into one line, except for a pipe that its reader has closed."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename != str(Path(path)):
            raise
        kind = (
            OutputError if error.errno in DISK_FAULTS or not os.path.isdir(Path(path).parent) else ConfigError
        )
        raise kind(f"{path}: cannot be written ({error.strerror or error})") from None


def _write_scores(keeper: ScoreKeeper, path: str) -> None:
    """Writes scores with those of each label; where nothing has gold labels, removes what an older run left."""
    scores, labels, counts = keeper.scores(), keeper.label_scores_as_json(), keeper.counts()
    if not counts:
        Path(path).unlink(missing_ok=True)
        return
    write_json(
        path,
        {
            task: {**scores.get(task, {}), **own, **({"labels": labels[task]} if task in labels else {})}
            for task, own in counts.items()
        },
    )
