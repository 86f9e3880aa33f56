"""Dependency trees: words, the joining of phrases, and their CoNLL-U form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(eq=False)
class Word:
    """One syntactic word with its place in the tree."""

    form: str
    lemma: str
    upos: str
    xpos: str
    features: dict[str, str] = field(default_factory=dict)
    head: Word | None = None
    relation: str = "root"
    glued: bool = False  # no space before it
    clitic: bool = False  # shares one surface token with the word before it
    empty: bool = False  # an elided word, present in the enhanced graph alone
    enhanced: tuple[Word, str] | None = None


Phrase = list[Word]
Part = tuple[str, Phrase]


def word(form: str, lemma: str, upos: str, xpos: str, features: str | Mapping[str, str] = "") -> Word:
    """A word whose features are given as a mapping or as `Name=Value|Name=Value`."""
    if isinstance(features, str):
        features = dict(pair.split("=") for pair in features.split("|") if pair)
    return Word(form, lemma, upos, xpos, dict(features))


def root(phrase: Phrase) -> Word:
    """The one word of a phrase that has no head inside it."""
    (top,) = [item for item in phrase if item.head is None and not item.empty]
    return top


def join(*parts: Phrase | Part) -> Phrase:
    """Line up phrases: the bare one is the head, each (relation, phrase) depends on it."""
    (head,) = [root(part) for part in parts if isinstance(part, list)]
    line: Phrase = []
    for part in parts:
        if isinstance(part, tuple):
            relation, part = part
            top = root(part)
            top.head, top.relation = head, relation
        line.extend(part)
    return line


def mark(form: str) -> Part:
    """A punctuation mark, ready to be joined."""
    tag = {"?": ".", "!": ".", ".": "."}.get(form, form)
    item = word(form, form, "PUNCT", tag)
    item.glued = True
    return "punct", [item]


def quoted(phrase: Phrase) -> Phrase:
    """The phrase between double quotation marks, which depend on its root."""
    opening, closing = word('"', '"', "PUNCT", "``"), word('"', '"', "PUNCT", "''")
    phrase[0].glued = closing.glued = True
    return join(("punct", [opening]), phrase, ("punct", [closing]))


def with_capital(phrase: Phrase) -> Phrase:
    """The phrase with its first letter in upper case."""
    first = next(item for item in phrase if item.upos != "PUNCT")
    first.form = first.form[0].upper() + first.form[1:]
    return phrase


def text_of(sentence: Phrase) -> str:
    """The surface text of a sentence."""
    segments = [("" if item.glued or item.clitic else " ") + item.form for item in sentence if not item.empty]
    return "".join(segments).strip()


def _identifiers(sentence: Phrase) -> dict[Word, str]:
    identifiers: dict[Word, str] = {}
    count = 0
    for item in sentence:
        count += not item.empty
        identifiers[item] = f"{count}.1" if item.empty else str(count)
    return identifiers


def _row(item: Word, identifiers: dict[Word, str], misc: str) -> str:
    features = sorted(item.features.items(), key=lambda pair: pair[0].lower())
    head = identifiers[item.head] if item.head else "0"
    governor, relation = item.enhanced or (item.head, item.relation)
    columns = [
        identifiers[item],
        item.form,
        item.lemma,
        item.upos,
        item.xpos,
        "|".join(f"{name}={value}" for name, value in features) or "_",
        "_" if item.empty else head,
        "_" if item.empty else item.relation,
        f"{identifiers[governor] if governor else 0}:{relation}",
        misc,
    ]
    return "\t".join(columns)


def conllu_rows(sentence: Phrase) -> list[str]:
    """The rows of a sentence, with a range row above every contracted token."""
    identifiers = _identifiers(sentence)
    surface = [item for item in sentence if not item.empty]
    followers = dict(zip(surface, surface[1:], strict=False))
    rows: list[str] = []
    for item in sentence:
        follower = followers.get(item)
        opens_token = bool(follower and follower.clitic) and not item.clitic
        if opens_token:
            token = [item]
            while (after := followers.get(token[-1])) and after.clitic:
                token.append(after)
            after = followers.get(token[-1])
            span = f"{identifiers[item]}-{identifiers[token[-1]]}"
            form = "".join(part.form for part in token)
            misc = "SpaceAfter=No" if after and after.glued else "_"
            rows.append("\t".join([span, form, *["_"] * 7, misc]))
        inside_token = opens_token or item.clitic
        misc = "SpaceAfter=No" if follower and follower.glued and not inside_token and not item.empty else "_"
        rows.append(_row(item, identifiers, misc))
    return rows
