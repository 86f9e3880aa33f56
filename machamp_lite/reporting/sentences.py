"""Compares the predictions of a dev file with its gold labels, sentence by sentence.

The sentences with errors come first, and their number is limited, so that the size of a report is.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.records import Record
from machamp_lite.data.span_schemes import AUTO, Span, scheme_of
from machamp_lite.dataloading.datasets import changed_files
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import DataError, MachampError
from machamp_lite.files.run_files import OUTPUT
from machamp_lite.inference.predicted_sentences import paired_records, readable_tasks
from machamp_lite.metrics.base import annotated_items
from machamp_lite.metrics.label_report import NONE
from machamp_lite.reporting import MAX_SENTENCES
from machamp_lite.reporting.run_results import RunResults

# Longer dev files are read to this sentence.
MAX_READ = 20_000
# Longer sentences are counted but not shown.
MAX_WORDS, MAX_CHARACTERS = 150, 3000


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a sentence: a word outside of spans, or a span, which may be gold or predicted only."""

    text: str
    kind: str | None = None
    differs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """The gold and predicted labels of one sentence for one task, as texts, one per word or a single one.

    A gold label is None if the item is not annotated. ``heads`` and ``spans`` are pairs of gold and predicted ones, for
    tasks whose labels are arcs or spans. ``confusions`` are pairs of different gold and predicted labels.
    """

    where: str
    words: Sequence[str]
    gold: Sequence[str | None]
    predicted: Sequence[str]
    wrong: Sequence[bool]
    confusions: Sequence[tuple[str, str]]
    labels: Sequence[str]
    heads: tuple[Sequence[int], Sequence[int]] | None = None
    spans: tuple[Sequence[Span], Sequence[Span]] | None = None

    @property
    def num_wrong(self) -> int:
        """The number of errors."""
        return len(self.confusions)

    @property
    def num_words(self) -> int:
        """The number of words; texts are split at white space."""
        return len(" ".join(self.words).split())

    @property
    def counted_confusions(self) -> list[tuple[str, int]]:
        """The confusions as texts with their counts, the most frequent first."""
        return Counter(f"{gold} → {predicted}" for gold, predicted in self.confusions).most_common()

    def chunks(self, spans: Sequence[Span]) -> Iterator[Chunk]:
        """Splits the sentence into the given spans, which are gold or predicted ones, and the words between them."""
        assert self.spans is not None
        in_both = set(self.spans[0]) & set(self.spans[1])
        done = 0
        for start, end, kind in sorted(spans):
            yield from (Chunk(word) for word in self.words[done:start])
            yield Chunk(" ".join(self.words[start:end]), kind, (start, end, kind) not in in_both)
            done = end
        yield from (Chunk(word) for word in self.words[done:])


@dataclass(slots=True, kw_only=True)
class TaskSentences:
    """The sentences of a task that are shown, and how many there are."""

    run: str
    dataset: str
    task: str
    level: str
    has_words: bool
    wrong: list[Sentence] = field(default_factory=list)
    right: list[Sentence] = field(default_factory=list)
    num_sentences: int = 0
    num_wrong: int = 0

    def add(self, sentence: Sentence, *, most: int) -> None:
        """Counts a sentence, and keeps it unless enough are kept or it is too long."""
        self.num_sentences += 1
        self.num_wrong += bool(sentence.num_wrong)
        kept, limit = (self.wrong, most) if sentence.num_wrong else (self.right, most // 4)
        size = sum(map(len, sentence.words))
        if len(kept) < limit and len(sentence.words) <= MAX_WORDS and size <= MAX_CHARACTERS:
            kept.append(sentence)

    @property
    def shown(self) -> list[Sentence]:
        """The sentences that are kept, those with errors first."""
        return [*self.wrong, *self.right]


@dataclass(frozen=True, slots=True)
class DevSentences:
    """The sentences of all tasks of a dev file; ``notes`` say what is missing."""

    tasks: Sequence[TaskSentences]
    notes: Sequence[str]


def compare(run: RunResults, name: str, *, most: int = MAX_SENTENCES) -> DevSentences:
    """Compares the predictions of a dataset's dev file with its gold labels."""
    source, target = run.dev_paths.get(name), run.folder / f"{name}{OUTPUT}"
    if source is None:
        return DevSentences([], [])
    missing = next((path for path in (source, target) if not Path(path).exists()), None)
    if missing is not None:
        return DevSentences([], [f"{missing}: is missing, so that its sentences cannot be shown"])
    notes = []
    checksum = run.environment.get("checksums", {}).get(source)
    if checksum is not None and changed_files({source: checksum}):
        notes.append(f"{source}: has changed since the training; the scores are those of its earlier content")
    dataset = run.datasets[name].active()
    tasks = readable_tasks(dataset)
    found = {
        task: TaskSentences(
            run=run.name,
            dataset=name,
            task=task,
            level=options.level,
            has_words=dataset.word_idx is not None,
        )
        for task, options in tasks.items()
    }
    try:
        for number, (gold, predicted) in enumerate(paired_records(dataset, source, target)):
            if number == MAX_READ:
                notes.append(f"{source}: only the first {MAX_READ} sentences were compared")
                break
            for task, options in tasks.items():
                if (sentence := _sentence(gold, predicted, task, options)) is not None:
                    found[task].add(sentence, most=most)
    except MachampError as error:
        return DevSentences([], [*notes, *error.faults[:1]])
    shared = {task for several in dataset.shared_columns().values() for task in several}
    for task, options in dataset.tasks.items():
        if options.writes_several:
            notes.append(f"{name}: task '{task}' wrote several labels per item (topn), which cannot be compared here")
        elif task in shared:
            notes.append(f"{name}: task '{task}' shares a column with another task, so that its errors cannot be shown")
    return DevSentences([one for one in found.values() if one.num_sentences], notes)


def _sentence(gold: Record, predicted: Record, task: str, options: TaskOptions) -> Sentence | None:
    """The labels of one sentence; None if it is not scored."""
    decoder = decoder_class(options)
    try:
        labels = decoder.read_gold(gold, task=task, config=options)
        found = decoder.read_labels(predicted, task=task, config=options)
    except DataError:
        # The warning about it was given when the file was read.
        return None
    if labels is None or found is None:
        return None
    known = [label for label in labels if label is not None] if decoder.items_are_independent else labels
    issues = decoder.find_issues([gold], [known], task=task, config=options)
    if any(issue.excluded for _, issue in issues):
        return None
    found = list(decoder.align_for_scoring(labels, found))
    if decoder.labels_are_arcs:
        return _with_arcs(gold, labels, found)
    gold_texts = [None if label is None else _text(label) for label in labels]
    texts = list(map(_text, found))
    wrong = [one is not None and one != other for one, other in zip(gold_texts, texts, strict=True)]
    pairs = [(str(one), other) for one, other in zip(gold_texts, texts, strict=True) if one is not None]
    if options.has_classes:
        # Each label of an item with several, and the classes that confusion matrices have.
        annotated = annotated_items(labels, found)
        pairs = list(zip(*decoder.label_pairs(*annotated, annotated_items(labels, gold.words)[1]), strict=True))
    confusions = [(one, other) for one, other in pairs if one != other]
    names = {label for pair in pairs for label in pair} - {NONE}
    spans = None
    if getattr(options, "scheme", AUTO) != AUTO and None not in gold_texts:
        scheme = scheme_of(options)
        spans = (scheme.spans([str(text) for text in gold_texts]), scheme.spans(texts))
        confusions = span_confusions(*spans)
        names = {kind for side in spans for _, _, kind in side}
    return Sentence(
        where=gold.where(),
        words=gold.words,
        gold=gold_texts,
        predicted=texts,
        wrong=wrong,
        confusions=confusions,
        labels=sorted(names) if decoder.labels_are_classes and options.has_classes else [],
        spans=spans,
    )


def _with_arcs(record: Record, gold: Sequence[Any], predicted: Sequence[Any]) -> Sentence:
    """A sentence with a gold and a predicted tree; a gold arc is None if the word is not annotated."""
    wrong = [arc is not None and arc != other for arc, other in zip(gold, predicted, strict=True)]
    confusions = []
    for arc, other, is_wrong in zip(gold, predicted, wrong, strict=True):
        if is_wrong:
            confusions.append((arc[1], other[1] if arc[0] == other[0] else f"{other[1]} (other head)"))
    relations = {arc[1] for arc in (*gold, *predicted) if arc is not None}
    return Sentence(
        where=record.where(),
        words=record.words,
        gold=[None if arc is None else arc[1] for arc in gold],
        predicted=[relation for _, relation in predicted],
        wrong=wrong,
        confusions=confusions,
        labels=sorted(relations),
        heads=([-1 if arc is None else arc[0] for arc in gold], [head for head, _ in predicted]),
    )


def span_confusions(gold: Sequence[Span], predicted: Sequence[Span]) -> list[tuple[str, str]]:
    """The types of spans that are not equal: of two with the same ends, or of one and ``NONE``.

    >>> span_confusions([(0, 2, "PER"), (4, 5, "LOC")], [(0, 2, "ORG"), (4, 6, "LOC")])
    [('PER', 'ORG'), ('LOC', '(none)'), ('(none)', 'LOC')]
    """
    in_gold, in_predicted = ({(start, end): kind for start, end, kind in spans} for spans in (gold, predicted))
    pairs = (
        (in_gold.get(ends, NONE), in_predicted.get(ends, NONE)) for ends in sorted(in_gold.keys() | in_predicted.keys())
    )
    return [(one, other) for one, other in pairs if one != other]


def _text(label: Any) -> str:
    """A label as it is shown: numbers with four digits."""
    if isinstance(label, tuple):
        return " | ".join(map(_text, label))
    return f"{label:.4g}" if isinstance(label, float) else str(label)
