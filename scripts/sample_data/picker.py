"""The choice of material: scenes read into events, and a random but even draw from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from sample_data.clauses import Event
from sample_data.phrases import alternatives
from sample_data.scenes import Scene

NAMES = (
    "Anna",
    "Omar",
    "Nora",
    "Felix",
    "Ruth",
    "Priya",
    "Anna Price",
    "Tomas Hill",
    "Samuel Reed",
    "Nora Quinn",
)
PEOPLE_PRONOUNS = ("she", "he", "they", "we", "I")


def lines(block: str) -> list[str]:
    """The lines of a block of a scene."""
    return [line.strip() for line in block.strip().splitlines()]


class Picker:
    """Draws from one scene at a time, preferring what has been used least."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.used: Counter[str] = Counter()
        self.scene: Scene

    def chance(self, probability: float) -> bool:
        """True in this share of the calls."""
        return self.random.random() < probability

    def fresh(self, choices: Sequence[str]) -> str:
        """One of the least used choices."""
        least = min(self.used[choice] for choice in choices)
        choice = self.random.choice([choice for choice in choices if self.used[choice] == least])
        self.used[choice] += 1
        return choice

    def one(self, text: str) -> str:
        """One of the `a / b / c` alternatives, or nothing from an empty list."""
        choices = alternatives(text)
        return self.fresh(choices) if choices else ""

    def line(self, block: str) -> str:
        """A line of a block of the scene."""
        return self.fresh(lines(block))

    def person(self, pronouns: float = 0.0) -> str:
        """Somebody who could act in this scene."""
        if self.chance(pronouns):
            return self.random.choice(PEOPLE_PRONOUNS)
        return self.random.choice(NAMES) if self.chance(0.2) else self.one(self.scene.people)

    def event(self, line: str, subject: str = "", adjuncts: float = 0.7) -> Event:
        """The event of a `subject | verb | object | adjunct` line; the subject may be missing."""
        fields = [field.strip() for field in line.split("|")]
        if subject and len(fields) == 3:
            fields.insert(0, subject)
        fields += [""] * (4 - len(fields))
        actor, verb, thing, where = fields
        thing, where = self.one(thing), self.one(where)
        if thing and len(thing.split()) > 3 and len(where.split()) > 3 and not self.chance(0.5):
            where = ""
        # a bare `she waited` says too little, so intransitive verbs keep their place
        if thing and not self.chance(adjuncts):
            where = ""
        return Event(
            self.one(actor), verb, thing, (where,) if where else (), self.chance(0.3) and len(thing) < 14
        )

    def activity(self, pronouns: float = 0.0, adjuncts: float = 0.6, transitive: bool = False) -> Event:
        """A deliberate action with somebody who does it."""
        choices = lines(self.scene.activities)
        if transitive:
            choices = [line for line in choices if "| |" not in line]
        line = self.fresh(choices)
        event = self.event(line, self.person(), adjuncts)
        if self.chance(pronouns):
            return Event(self.random.choice(PEOPLE_PRONOUNS), event.verb, event.object, event.adjuncts)
        return event
