"""Statements with the yes/no question each of them answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sample_data.clauses import Event, Form, agreement_of, clause, inflect
from sample_data.constructions import FORMS, HABIT_ADVERBS, PAST, PRESENT, RECENTLY, finished
from sample_data.lexicon import SHORT_ADJECTIVES
from sample_data.morphology import degrees
from sample_data.phrases import adjunct, noun_phrase
from sample_data.picker import Picker
from sample_data.treebank import SCENES
from sample_data.trees import Part, Phrase, join, text_of, with_capital, word

SIZES = {"train": 400, "dev": 60, "test": 60}
PRONOUNS = ("she", "he", "they")
KINDS = {"past": 6, "perfect": 3, "future": 3, "progressive": 3, "past progressive": 1, "can": 1, "should": 1}
# statement and question, without their final mark
Twins = tuple[Phrase, Phrase]


def _twins(pick: Picker, event: Event, form: Form, adverb: str = "", passive: bool = False) -> Twins:
    build = partial(clause, event, form, adverb=adverb, passive=passive)
    return build(contracted=pick.chance(0.3)), build(question=True)


def _action(pick: Picker) -> Twins:
    """Somebody does something."""
    event = pick.activity(adjuncts=0.5)
    # nobody does something with themselves
    company = any(event.subject in text for text in event.adjuncts)
    if company or pick.chance(0.3):
        event = replace(event, subject=pick.random.choice(PRONOUNS))
    (kind,) = pick.random.choices(list(KINDS), list(KINDS.values()))
    form, times, adverbs = FORMS[kind]
    if times and pick.chance(0.4):
        event = event.plus(pick.one(times))
    return _twins(pick, event, form, pick.one(adverbs) if pick.chance(0.6) else "")


def _passive(pick: Picker) -> Twins:
    """Something is done by somebody nobody names."""
    event = pick.activity(adjuncts=0.6, transitive=True)
    kind = pick.random.choice(["past", "past", "perfect", "future"])
    return _twins(pick, replace(event, subject=""), FORMS[kind][0], passive=True)


def _incident(pick: Picker) -> Twins:
    """Something happened to somebody."""
    subject = pick.random.choice(PRONOUNS) if pick.chance(0.3) else pick.person()
    event = pick.event(pick.line(pick.scene.incidents), subject, 0.8)
    return _twins(pick, event.plus(pick.one(RECENTLY) if pick.chance(0.3) else ""), PAST)


def _habit(pick: Picker) -> Twins:
    """Something happens regularly."""
    event = pick.event(pick.line(pick.scene.habits), adjuncts=1.0)
    often = pick.chance(0.35) and "most" not in event.subject
    return _twins(pick, event, PRESENT, pick.one(HABIT_ADVERBS) if often else "")


def _state(pick: Picker) -> Twins:
    """Something is somehow or somewhere."""
    subject, complement = pick.line(pick.scene.states).split(" | ")
    past = subject.startswith("last") or pick.chance(0.3)
    return _twins(pick, Event(subject, "be", pick.one(complement)), PAST if past else PRESENT)


def _comparison(pick: Picker) -> Twins:
    """One thing is more so than another."""
    subject, quality, other = (field.strip() for field in pick.line(pick.scene.comparisons).split("|"))
    more = degrees(quality)[0] if quality in SHORT_ADJECTIVES else f"more {quality}"
    return _twins(pick, Event(subject, "be", f"{more} than {other}"), pick.random.choice([PRESENT, PAST]))


def _existential(pick: Picker) -> Twins:
    """There is something somewhere."""
    thing, place = (pick.one(field) for field in pick.line(pick.scene.places).split("|"))
    tense = pick.random.choice(["present", "past"])

    def build(question: bool) -> Phrase:
        subject = noun_phrase(thing)
        there: Part = ("expl", [word("there", "there", "PRON", "EX", "PronType=Dem")])
        verb = [inflect("be", tense, agreement_of(subject))]
        opening = [verb, there] if question else [there, verb]
        return join(*opening, ("nsubj", subject), adjunct(place))

    return build(False), build(True)


SHARES: dict[Callable[[Picker], Twins], int] = {
    _action: 8, _passive: 3, _incident: 3, _habit: 3, _state: 3, _comparison: 1, _existential: 2,
}  # fmt: skip


def questions(seed: int) -> dict[str, list[str]]:
    """The rows of every split, statement and question; neither comes twice."""
    pick, seen = Picker(seed), set[str]()
    makers, shares = list(SHARES), list(SHARES.values())
    splits: dict[str, list[str]] = {}
    for split, size in SIZES.items():
        rows: list[str] = []
        while len(rows) < size:
            pick.scene = SCENES[len(rows) % len(SCENES)]
            (maker,) = pick.random.choices(makers, shares)
            statement, question = maker(pick)
            pair = [text_of(with_capital(finished(*end))) for end in ((statement, "."), (question, "?"))]
            if seen.isdisjoint(pair):
                seen.update(pair)
                rows.append("\t".join(pair))
        splits[split] = rows
    return splits
