"""A component for pipelines of spaCy, under the name ``machamp_lite``.

It is registered by the entry point ``spacy_factories``: if this package is installed,
``nlp.add_pipe("machamp_lite", config={"model": "runs/mine"})`` finds it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from spacy.attrs import DEP, HEAD
from spacy.language import Language
from spacy.tokens import Doc, Span, Token
from spacy.util import minibatch

from machamp_lite.api.conll import as_text
from machamp_lite.api.loading import load
from machamp_lite.api.prediction import Prediction, Tree
from machamp_lite.api.predictor import Predictor
from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.data.record import EMPTY
from machamp_lite.data.span_schemes import has_spans
from machamp_lite.errors import ConfigError, did_you_mean

# The attribute of spaCy for the labels in a column of CoNLL-U.
COLUMNS: dict[Any, str] = {2: "lemma", 3: "pos", 4: "tag", 5: "morph"}
# More than any task of texts has.
ALL_LABELS = 100_000


@Language.factory(
    "machamp_lite", default_config={"model": None, "dataset": None, "attributes": {}, "device": "auto"}
)
def make_component(
    nlp: Language, name: str, model: str | None, dataset: str | None, attributes: dict[str, str], device: str
) -> "Component":
    """The component with a loaded model, see ``Component``."""
    if model is None:
        raise ConfigError(f"{name}: model: is missing, expected the folder of a model")
    return Component(load(model, device=device), dataset=dataset, attributes=attributes)


class Component:
    """Predicts docs and sets their attributes. The predictions of a doc, one per sentence, are ``doc._.machamp_lite``.

    - Labels of words are the attribute of their column in CoNLL-U: ``lemma``, ``pos``, ``tag`` or ``morph``;
      ``attributes`` maps other tasks to one of them. Trees are ``head`` and ``dep``.
    - Spans are ``doc.spans[TASK]``, and those of the first task also ``doc.ents``.
    - ``doc.cats`` has the probabilities of the labels of the whole doc, and the numbers of regression tasks. If several
      tasks have labels of texts, the keys are ``TASK:LABEL``.

    Sentences are those that earlier components have set; without any, a doc is one sentence.
    """

    def __init__(
        self, model: Predictor, *, dataset: str | None = None, attributes: Mapping[str, str] | None = None
    ) -> None:
        self.model = model
        self.dataset = dataset or next(iter(model.config.datasets))
        config = find_dataset(model.config, self.dataset).active()
        self.has_words = config.word_idx is not None
        tasks = {task: own for task, own in config.tasks.items() if own.input_type in ("words", "subwords")}
        self.of_words = [task for task, own in tasks.items() if own.labels_words()]
        self.of_texts = [task for task in tasks if task not in self.of_words]
        self.attributes = {
            task: COLUMNS[column]
            for task in self.of_words
            # The columns of spans are those of other formats than CoNLL-U.
            if config.word_idx == 1 and (column := tasks[task].column_idx) in COLUMNS and not has_spans(tasks[task])
        } | _checked(attributes or {}, self.of_words)
        if not Doc.has_extension("machamp_lite"):
            Doc.set_extension("machamp_lite", default=())

    def __call__(self, doc: Doc) -> Doc:
        """Predicts one doc."""
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], batch_size: int = 128) -> Iterator[Doc]:
        """Predicts a stream of docs, some at a time."""
        for docs in minibatch(stream, batch_size):
            if self.of_texts:
                inputs = [_texts(doc, list(range(len(doc)))) if self.has_words else doc.text for doc in docs]
                every = self.model.predict(inputs, dataset=self.dataset, tasks=self.of_texts, top_k=ALL_LABELS)
                for doc, prediction in zip(docs, every, strict=True):
                    doc._.machamp_lite = (prediction,)
                    doc.cats = {**doc.cats, **self._categories(prediction)}
            if self.of_words:
                sentences = [_sentences(doc) for doc in docs]
                words = [_texts(doc, own) for doc, parts in zip(docs, sentences, strict=True) for own in parts]
                found = iter(self.model.predict(words, dataset=self.dataset, tasks=self.of_words))
                for doc, parts in zip(docs, sentences, strict=True):
                    self._annotate(doc, [(own, next(found)) for own in parts])
            yield from docs

    def _categories(self, prediction: Prediction) -> dict[str, float]:
        found: dict[str, float] = {}
        for task in self.of_texts:
            label, probabilities = prediction.labels.get(task), prediction.probabilities.get(task)
            if isinstance(probabilities, Mapping):
                prefix = f"{task}:" if len(self.of_texts) > 1 else ""
                found |= {f"{prefix}{name}": value for name, value in probabilities.items()}
            elif isinstance(label, float):
                found[task] = label
        return found

    def _annotate(self, doc: Doc, sentences: Sequence[tuple[list[int], Prediction]]) -> None:
        """Sets what is predicted for words; ``sentences`` have the indices of their tokens, without white space."""
        predictions = tuple(prediction for _, prediction in sentences)
        doc._.machamp_lite = (*doc._.machamp_lite, *predictions) if self.of_texts else predictions
        spans: dict[str, list[Span]] = {}
        for indices, prediction in sentences:
            for task, attribute in self.attributes.items():
                labels: Any = prediction.labels[task]
                for index, label in zip(indices, labels, strict=True):
                    _set(doc[index], attribute, as_text(label), task)
            for task, own in prediction.spans.items():
                spans.setdefault(task, []).extend(
                    Span(doc, indices[span.start], indices[span.end - 1] + 1, label=span.label) for span in own
                )
        for number, (task, own_spans) in enumerate(spans.items()):
            doc.spans[task] = own_spans
            if number == 0:
                doc.set_ents(own_spans)
        trees = [task for task in self.of_words if any(task in prediction.heads for prediction in predictions)]
        if trees:
            _set_tree(doc, [(indices, prediction.tree(trees[0])) for indices, prediction in sentences if indices])


def _checked(attributes: Mapping[str, str], tasks: Sequence[str]) -> dict[str, str]:
    """The attributes of tasks; raises ``ConfigError`` for unknown ones."""
    faults = [
        f"attributes: unknown task '{task}'{did_you_mean(task, tasks)}" for task in attributes if task not in tasks
    ]
    faults += [
        f"attributes -> {task}: found '{name}'{did_you_mean(name, COLUMNS.values())}"
        for task, name in attributes.items()
        if name not in COLUMNS.values()
    ]
    if faults:
        raise ConfigError(faults)
    return dict(attributes)


def _sentences(doc: Doc) -> list[list[int]]:
    """The indices of the tokens of each sentence, without white space."""
    parts: Iterable[Any] = doc.sents if doc.has_annotation("SENT_START") else [doc]
    return [[token.i for token in part if not token.is_space] for part in parts]


def _texts(doc: Doc, indices: Sequence[int]) -> tuple[str, ...]:
    return tuple(doc[index].text for index in indices if not doc[index].is_space)


def _set(token: Token, attribute: str, label: str, task: str) -> None:
    if attribute == "morph":
        token.set_morph("" if label == EMPTY else label)
        return
    try:
        setattr(token, f"{attribute}_", label)
    except (KeyError, ValueError):
        raise ConfigError(
            f"attributes -> {task}: found the label '{label}', which spaCy does not have as {attribute}; expected 'tag'"
        ) from None


def _set_tree(doc: Doc, trees: Sequence[tuple[list[int], Tree]]) -> None:
    """Sets the heads and relations of a doc. White space belongs to the word before it, or to the first word."""
    heads = np.zeros(len(doc), dtype=np.int64)
    relations = np.full(len(doc), doc.vocab.strings.add("dep"), dtype=np.uint64)
    words = {index for indices, _ in trees for index in indices}
    last = min(words, default=0)
    for index in range(len(doc)):
        last = index if index in words else last
        heads[index] = last - index
    for indices, tree in trees:
        for index, head, relation in zip(indices, tree.heads, tree.relations, strict=True):
            heads[index] = indices[head - 1] - index if head else 0
            # spaCy has the root in capitals.
            relations[index] = doc.vocab.strings.add("ROOT" if relation == "root" else relation)
    doc.from_array([HEAD, DEP], np.stack([heads.astype(np.uint64), relations], axis=1))
