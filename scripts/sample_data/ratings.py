"""What annotators would say of a pair: how alike its sentences are, their votes for each label, its subjects.

All of it follows from what the pair was made from, but for a small drift drawn from its words.
"""

from __future__ import annotations

from random import Random

from sample_data.pairs import LABELS, Pair, pairs

ANNOTATORS = 10
SUBJECTS = ("travel", "work", "animals", "food", "health", "sport", "school", "garden", "railway")
# what similarity starts from, out of 5
BASE = {"entails": 3.0, "contradicts": 1.6, "unrelated": 0.3}
SAME_CASE, ONE_PERSON, SHARED_WORDS, DRIFT = 1.2, 0.4, 0.4, 0.1
SHORTEST_CONTENT_WORD = 4


def _content(sentence: str) -> set[str]:
    words = sentence.rstrip(".").replace(",", "").lower().split()
    return {word for word in words if len(word) >= SHORTEST_CONTENT_WORD}


def _drift(pair: Pair, purpose: str) -> Random:
    return Random(f"{purpose} {pair.first} {pair.second}")


def similarity(pair: Pair) -> float:
    """How alike the sentences are, from 0 to 5 with one decimal."""
    claim = _content(pair.second)
    score = BASE[pair.label] + DRIFT * _drift(pair, "similarity").choice((-1, 0, 1))
    score += SAME_CASE * (pair.told == pair.claimed)
    score += ONE_PERSON * (pair.neighbour is None)
    score += SHARED_WORDS * len(claim & _content(pair.first)) / len(claim)
    return round(min(max(score, 0.0), 5.0), 1)


def votes(pair: Pair) -> dict[str, int]:
    """How many annotators chose each label; the pair's own label always gets the most."""
    doubts: list[str] = []
    if pair.label == "unrelated":
        # what goes unmentioned looks denied to some
        doubts.append("entails" if pair.denied else "contradicts")
    else:
        if pair.told != pair.claimed:
            doubts += ["unrelated"] * 2
        if pair.neighbour is not None:
            # read of the wrong person, the first sentence may say the opposite
            mistaken = "contradicts" if (pair.neighbour == pair.claimed[1]) == pair.denied else "entails"
            doubts += [mistaken] * 2
    if _drift(pair, "votes").random() < 0.25:
        doubts.append("contradicts" if pair.label == "unrelated" else "unrelated")
    counts = dict.fromkeys(LABELS, 0)
    for doubt in doubts:
        counts[doubt] += 1
    counts[pair.label] += ANNOTATORS - len(doubts)
    return counts


def subjects(pair: Pair) -> list[str]:
    """What either sentence touches on, most general first; may be nothing."""
    (told_topic, told), (claimed_topic, claimed) = pair.told, pair.claimed
    found = {*told_topic.subjects[told], *claimed_topic.subjects[claimed]}
    if pair.neighbour is not None:
        found |= {*told_topic.subjects[pair.neighbour]}
    return [subject for subject in SUBJECTS if subject in found]


def _row(pair: Pair) -> str:
    shares = [f"{count / ANNOTATORS:.1f}" for count in votes(pair).values()]
    topics = "|".join(subjects(pair)) or "_"
    return "\t".join([pair.first, pair.second, pair.label, f"{similarity(pair):.1f}", *shares, topics])


def rated_pairs(seed: int) -> dict[str, list[str]]:
    """The rows of every split: both sentences, label, similarity, share of votes for each label, subjects."""
    return {split: [_row(pair) for pair in chosen] for split, chosen in pairs(seed).items()}
