"""Records in, annotated records out."""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from machamp_lite.batching.instances import InstanceReader, layout_of
from machamp_lite.config.schema import decoder_class
from machamp_lite.data.records import Record, read_records
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.evaluation import ScoreKeeper, Scores, predict_labels
from machamp_lite.files import replacing_file, write_json
from machamp_lite.model import Model

logger = logging.getLogger(__name__)

# Records that are held at once: enough to sort them into batches of like length.
CHUNK = 4096


def choose_dataset(model: Model, name: str | None) -> str:
    """The dataset whose tasks are predicted; raises ``ConfigError`` that lists them if that is not clear."""
    names = list(model.config.datasets)
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    found = "none" if name is None else f"'{name}'"
    raise ConfigError(f"--dataset: found {found}, expected one of the model's datasets: {', '.join(names)}")


def predict_file(
    model: Model,
    source: str | Path,
    target: str | Path,
    *,
    dataset: str | None = None,
    raw_text: bool = False,
    batch_size: int | None = None,
    keeper: ScoreKeeper | None = None,
) -> Scores:
    """Predicts every task of a dataset for a file and writes it with those labels, all else byte for byte.

    Scores, of the tasks for which the file has gold labels, are returned, and written to ``target.eval`` with those of
    each label, if there are any; a ``keeper`` of the dataset's tasks that is given holds them afterwards. Raises
    ``DataError`` if the file cannot be read; nothing is written then.
    """
    name = choose_dataset(model, dataset)
    config = model.config.datasets[name]
    if raw_text and config.word_idx is None:
        raise ConfigError(f"--raw_text: {name} has sent_idxs, expected a dataset with word_idx")
    if not Path(target).parent.is_dir():
        raise ConfigError(f"{target}: the folder {Path(target).parent} does not exist")
    keeper = keeper or ScoreKeeper(config.tasks)
    records = read_records(
        source,
        layout_of(config),
        required=config.text_columns(),
        raw_text_columns=_raw_text_columns(model, name) if raw_text else None,
    )
    try:
        with replacing_file(target) as file:
            for record in predict_records(model, name, records, keeper=keeper, batch_size=batch_size):
                file.write(record.text())
        scores = keeper.scores()
        if scores:
            labels = keeper.label_scores_as_json()
            write_json(f"{target}.eval", {task: {**scores[task], "labels": labels[task]} for task in scores})
        else:
            Path(f"{target}.eval").unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written ({error.strerror or error})") from None
    return scores


def predict_records(
    model: Model,
    dataset: str,
    records: Iterable[Record],
    *,
    keeper: ScoreKeeper | None = None,
    batch_size: int | None = None,
) -> Iterator[Record]:
    """Writes predicted labels into records, in order; with a keeper, gold labels are scored first."""
    config = model.config.datasets[dataset]
    reader = InstanceReader(
        name=dataset, config=config, tokenizer=model.tokenizer, vocabularies=model.vocabularies
    )
    stream = iter(records)
    while chunk := list(islice(stream, CHUNK)):
        with_words = [record for record in chunk if record.rows]
        gold = [reader.gold_labels(record) for record in with_words]
        views = reader.instances(with_words, gold)
        owners = [number for number, instances in enumerate(views) for _ in instances]
        instances = [instance for instances in views for instance in instances]
        for place, labels in predict_labels(model, instances, batch_size=batch_size):
            record, instance = with_words[owners[place]], instances[place]
            if keeper is not None:
                keeper.add(instance.labels, labels, words=instance.words)
            for task, task_labels in labels.items():
                task_config = config.tasks[task]
                decoder_class(task_config).write_labels(record, task_labels, task=task, config=task_config)
        yield from chunk


def predict_words(
    model: Model, sentences: Iterable[Iterable[str]], *, dataset: str | None = None
) -> list[dict[str, list[Any]]]:
    """The labels of tokenised sentences (or of the texts of a TSV row) by task."""
    name = choose_dataset(model, dataset)
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
        config=model.config.datasets[name],
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


def _raw_text_columns(model: Model, dataset: str) -> int:
    """The columns of the rows made of raw text: ten if they look like CoNLL-U, else what the tasks need."""
    config = model.config.datasets[dataset]
    needed = max(config.required_columns()) + 1
    return 10 if config.word_idx == 1 and needed > 3 else needed
