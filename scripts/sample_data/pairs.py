"""Sentence pairs whose second sentence follows from the first, contradicts it, or is about something else.

Every topic has values that exclude each other, so any first sentence can be met by any second one: the label
lies in the pair alone, and neither sentence nor its length gives it away.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

PEOPLE = ("Anna", "Omar", "Mrs Hale", "Felix", "my cousin", "the new tenant")
LABELS = {"entails": 45, "contradicts": 35, "unrelated": 20}
SIZES = {"train": 600, "dev": 120, "test": 120}


@dataclass(frozen=True)
class Topic:
    """One question about a person: how it may be told, and how it is claimed or denied.

    told: for each value, ways to tell it in detail
    claims: for each value, the plain claim and its denial
    subjects: for each value, what a sentence about it touches on
    """

    told: tuple[tuple[str, ...], ...]
    claims: tuple[tuple[str, str], ...]
    subjects: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Pair:
    """Two sentences, the label between them, and the facts that they were made from.

    told: topic and value of what the first sentence tells of the person in the second
    neighbour: the value it tells of somebody else; None if it tells of one person alone
    claimed: topic and value of the second sentence, which denies it if `denied`
    """

    first: str
    second: str
    label: str
    told: tuple[Topic, int]
    neighbour: int | None
    claimed: tuple[Topic, int]
    denied: bool


TOPICS = (
    Topic(
        told=(
            ("caught the early train into town", "bought a return ticket and sat by the carriage window"),
            ("pedalled to the office through the drizzle", "locked a muddy bicycle to the office fence"),
            ("parked the old van behind the office", "drove in and got stuck at the roundabout"),
        ),
        claims=(
            ("came to work by rail today", "did not come to work by rail today"),
            ("came to work by bicycle today", "did not come to work by bicycle today"),
            ("came to work on four wheels today", "did not come to work on four wheels today"),
        ),
        subjects=(("travel", "railway"), ("travel", "sport"), ("travel",)),
    ),
    Topic(
        told=(
            ("shared the flat with a grey kitten and nobody else", "had only ever owned one cat"),
            ("had no animal but a parrot that whistled", "kept a single canary in the hall"),
            (
                "walked the terrier, the only animal in the house",
                "bought food for the puppy, a first and only pet",
            ),
        ),
        claims=(
            ("had a cat at home", "had no cat at home"),
            ("had a bird at home", "had no bird at home"),
            ("had a dog at home", "had no dog at home"),
        ),
        subjects=(("animals",), ("animals",), ("animals",)),
    ),
    Topic(
        told=(
            ("spent the whole of Saturday weeding the vegetable bed", "pruned roses all Saturday long"),
            ("baked from dawn to dusk on Saturday", "stood at the stove all of Saturday, stirring plum jam"),
            ("lay in bed with a fever all Saturday", "coughed under three blankets the whole of Saturday"),
        ),
        claims=(
            ("worked outdoors on Saturday", "did not work outdoors on Saturday"),
            ("was busy in the kitchen on Saturday", "was not busy in the kitchen on Saturday"),
            ("was ill on Saturday", "was not ill on Saturday"),
        ),
        subjects=(("garden",), ("food",), ("health",)),
    ),
    Topic(
        told=(
            (
                "left for the hospital at six to start the morning round of the ward",
                "bandages knees for a living",
            ),
            (
                "marked thirty spelling tests for tomorrow's class",
                "has taught sums to small children for years",
            ),
            ("kneads dough at three every morning for the shop", "earns a living with rye loaves and rolls"),
        ),
        claims=(
            ("works as a nurse", "does not work as a nurse"),
            ("works as a teacher", "does not work as a teacher"),
            ("works as a baker", "does not work as a baker"),
        ),
        subjects=(("work", "health"), ("work", "school"), ("work", "food")),
    ),
    Topic(
        told=(
            (
                "spent the holiday in a hut above the tree line",
                "climbed a different peak on each day of the holiday",
            ),
            ("slept in a beach cabin for the whole holiday", "swam in the waves on every day of the holiday"),
            (
                "did not leave the flat during the holiday",
                "spent the holiday on the sofa with the curtains drawn",
            ),
        ),
        claims=(
            ("spent the holiday in the mountains", "did not spend the holiday in the mountains"),
            ("spent the holiday by the sea", "did not spend the holiday by the sea"),
            ("spent the holiday at home", "did not spend the holiday at home"),
        ),
        subjects=(("travel", "sport"), ("travel",), ()),
    ),
    Topic(
        told=(
            ("plays the cello and nothing else", "practises the violin, the only instrument in the house"),
            ("owns no instrument but an upright piano", "practises on eighty-eight keys and on nothing else"),
            (
                "has never played anything but the drums",
                "hits the snare drum every evening and owns no other instrument",
            ),
        ),
        claims=(
            ("plays a string instrument", "does not play a string instrument"),
            ("plays the piano", "does not play the piano"),
            ("plays the drums", "does not play the drums"),
        ),
        subjects=((), (), ()),
    ),
)


def _premise(random: Random, person: str, topic: Topic, value: int) -> tuple[str, int | None]:
    """What is told of one person, half of the time next to somebody else's different case; the other value."""
    own = f"{person} {random.choice(topic.told[value])}"
    if random.random() < 0.5:
        return own, None
    neighbour = random.choice([name for name in PEOPLE if name != person])
    other = random.choice([choice for choice in range(len(topic.told)) if choice != value])
    theirs = f"{neighbour} {random.choice(topic.told[other])}"
    return random.choice([f"{own}, while {theirs}", f"{theirs}, while {own}"]), other


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _pair(random: Random, label: str) -> Pair:
    # the second sentence is drawn before the label is looked at, so it cannot give the label away
    person, topic = random.choice(PEOPLE), random.choice(TOPICS)
    claimed, denied = random.randrange(len(topic.claims)), random.random() < 0.5
    claim = f"{person} {topic.claims[claimed][denied]}"
    about, value = topic, claimed
    if label == "unrelated":
        about = random.choice([choice for choice in TOPICS if choice is not topic])
        value = random.randrange(len(about.told))
    elif (label == "entails") == denied:
        value = random.choice([choice for choice in range(len(topic.told)) if choice != claimed])
    premise, neighbour = _premise(random, person, about, value)
    return Pair(
        first=_sentence(premise),
        second=_sentence(claim),
        label=label,
        told=(about, value),
        neighbour=neighbour,
        claimed=(topic, claimed),
        denied=denied,
    )


def pairs(seed: int) -> dict[str, list[Pair]]:
    """The pairs of every split."""
    random, seen = Random(seed), set[tuple[str, str]]()
    splits: dict[str, list[Pair]] = {}
    for split, size in SIZES.items():
        labels = [label for label, share in LABELS.items() for _ in range(size * share // 100)]
        random.shuffle(labels)
        chosen: list[Pair] = []
        while len(chosen) < size:
            pair = _pair(random, labels[len(chosen)])
            if (pair.first, pair.second) not in seen:
                seen.add((pair.first, pair.second))
                chosen.append(pair)
        splits[split] = chosen
    return splits
