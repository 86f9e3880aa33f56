"""What a model predicts for one input: labels, probabilities, spans and trees, with offsets in the text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from machamp_lite.api import conll, html
from machamp_lite.data.record import Column
from machamp_lite.errors import ConfigError, did_you_mean, shorten

# The label of one item, a word or a text: a string, any number of strings, a number, or a distribution.
Label = str | float | tuple[str, ...] | tuple[float, ...]
# The label of a text, or those of all words.
Labels = Label | tuple[Label, ...]
# Labels with their probabilities, the best first.
Probabilities = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Token:
    """A word, and where it is in the text: ``text[start:end]``.

    >>> token = Token("dogs", start=4, end=8)
    >>> "The dogs sleep."[token.start : token.end]
    'dogs'
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Span:
    """A span of words, such as an entity.

    It is ``tokens[start:end]``, and ``text[start_char:end_char]`` of the prediction. ``probability`` is None unless
    ``top_k`` was given.

    >>> span = Span("PERSON", start=1, end=3, start_char=4, end_char=17, text="Anna Karenina")
    >>> "Ms. Anna Karenina left."[span.start_char : span.end_char]
    'Anna Karenina'
    """

    label: str
    start: int
    end: int
    start_char: int
    end_char: int
    text: str
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """A dependency tree: for each word the position of its head, from 1 (0 is the root), and its relation.

    >>> tree = Tree(heads=(2, 0), relations=("det", "root"))
    >>> tree.root, tree.children(1)
    (1, [0])
    """

    heads: tuple[int, ...]
    relations: tuple[str, ...]

    @property
    def root(self) -> int:
        """The index of the root, from 0."""
        return self.heads.index(0)

    def children(self, index: int) -> list[int]:
        """The indices of the words whose head is the word at an index; all from 0."""
        return [word for word, head in enumerate(self.heads) if head == index + 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where inputs and labels are in the files of a model: the columns of the words or texts, and those of each task.

    ``words`` are the tasks that label words, ``texts`` those that label texts; a task without columns is in a comment.
    """

    inputs: tuple[Column, ...] = ()
    words: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)
    texts: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model predicts for one input.

    ``texts`` is the text, or the several texts of an input. ``tokens`` are its words, empty for a model of texts.

    ``labels`` has an entry for each task. A task that labels words has a tuple with one label per word, a task that
    labels texts has a single label:

    ====================================  ==================================================================
    seq, seq_bio, string2string           a string per word
    multiseq                              a tuple of strings per word
    dependency                            the relation of each word; ``heads`` has its head, ``tree`` has both
    classification, seq2seq               a string
    multiclas                             a tuple of strings
    regression                            a number
    probdistr                             a tuple of probabilities
    tok                                   none: it makes ``tokens``
    mlm                                   none
    ====================================  ==================================================================

    ``spans`` are those of tasks with a span scheme, such as seq_bio. With ``top_k``, ``probabilities`` has the best
    labels of each item in the form {label: probability}, the predicted one first, for the same items as ``labels``;
    regression and probdistr have none. ``head_probabilities`` has the best heads of each word.
    """

    texts: tuple[str, ...]
    tokens: tuple[Token, ...] = ()
    labels: Mapping[str, Labels] = field(default_factory=dict)
    heads: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    probabilities: Mapping[str, Probabilities | tuple[Probabilities, ...]] = field(default_factory=dict)
    head_probabilities: Mapping[str, tuple[Mapping[int, float], ...]] = field(default_factory=dict)
    columns: Columns = field(default=Columns(), repr=False)

    @property
    def text(self) -> str:
        """The text; several are separated by tabs."""
        return "\t".join(self.texts)

    @property
    def words(self) -> tuple[str, ...]:
        """The texts of the tokens."""
        return tuple(token.text for token in self.tokens)

    def tree(self, task: str | None = None) -> Tree:
        """The tree of a task, which may be left out if there is only one; raises ``ConfigError`` without it."""
        known = list(self.heads)
        if task is None and len(known) == 1:
            task = known[0]
        if task is None or task not in self.heads:
            found = "none" if task is None else f"'{task}'"
            raise ConfigError(f"task: found {found}, expected a task with a tree{did_you_mean(task or '', known)}")
        relations: Any = self.labels[task]
        return Tree(self.heads[task], relations)

    def to_dict(self, *, columns: bool = True) -> dict[str, Any]:
        """The prediction as plain JSON: objects, lists, strings and numbers; empty parts are left out.

        Without ``columns``, ``to_conllu`` and ``to_conll`` of the prediction that ``from_dict`` makes of it do not know
        the columns of the tasks.

        >>> Prediction(texts=("Hi",), tokens=(Token("Hi", 0, 2),), labels={"upos": ("INTJ",)}).to_dict()
        {'text': 'Hi', 'tokens': [{'text': 'Hi', 'start': 0, 'end': 2}], 'labels': {'upos': ['INTJ']}}
        """
        text = {"text": self.texts[0]} if len(self.texts) == 1 else {"texts": list(self.texts)}
        parts = {
            "tokens": [_fields(token) for token in self.tokens],
            "labels": _plain(self.labels),
            "heads": _plain(self.heads),
            "spans": {task: [_fields(span) for span in spans] for task, spans in self.spans.items()},
            "probabilities": _plain(self.probabilities),
            "head_probabilities": _plain(self.head_probabilities),
            "columns": {name: _plain(getattr(self.columns, name)) for name in self.columns.__slots__}
            if columns and self.columns != Columns()
            else {},
        }
        return text | {name: part for name, part in parts.items() if part or name == "labels"}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Prediction":
        """The prediction whose ``to_dict`` is the document, which may have been written to JSON and read again.

        >>> Prediction.from_dict({"text": "Hi", "labels": {"mood": "glad"}})
        Prediction('Hi', mood='glad')
        """
        heads = document.get("head_probabilities", {})
        return cls(
            texts=tuple(document["texts"]) if "texts" in document else (document["text"],),
            tokens=tuple(Token(**token) for token in document.get("tokens", ())),
            labels=_frozen(document.get("labels", {})),
            heads=_frozen(document.get("heads", {})),
            spans={task: tuple(Span(**span) for span in spans) for task, spans in document.get("spans", {}).items()},
            probabilities=_frozen(document.get("probabilities", {})),
            # The keys of JSON are strings.
            head_probabilities={
                task: tuple({int(head): value for head, value in word.items()} for word in words)
                for task, words in heads.items()
            },
            columns=Columns(**_frozen(document.get("columns", {}))),
        )

    def to_conllu(self) -> str:
        """The sentence as CoNLL-U, with a blank line at its end.

        Labels are in the columns of their tasks if the model was trained on CoNLL-U; others, and those of spans, are in
        the column MISC, and the labels of the sentence in comments. Raises ``ConfigError`` for a model of texts, which
        has no words.
        """
        return conll.to_conllu(self)

    def to_conll(self) -> str:
        """The sentence, or the row of texts, in the columns that ``predict.py`` would write, without a header."""
        return conll.to_conll(self)

    def __repr__(self) -> str:
        shown = [repr(shorten(self.text)), *(f"{task}={_shown(labels)}" for task, labels in self.labels.items())]
        return f"Prediction({', '.join(shown)})"

    def _repr_html_(self) -> str:
        """For notebooks: a table of the words and their labels, with spans in colour, and trees."""
        return html.render(self)


def _shown(labels: Any) -> str:
    if isinstance(labels, tuple):
        return f"[{shorten(' '.join(map(_shown_item, labels)), 80)}]"
    return f"{labels:.4g}" if isinstance(labels, float) else repr(labels)


def _shown_item(label: Any) -> str:
    return conll.as_text(label)


def _fields(item: Token | Span) -> dict[str, Any]:
    return {name: value for name in item.__slots__ if (value := getattr(item, name)) is not None}


def _plain(value: Any) -> Any:
    """Tuples as lists, and keys as strings."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [*map(_plain, value)] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    """Lists as tuples."""
    if isinstance(value, Mapping):
        return {key: _frozen(part) for key, part in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
