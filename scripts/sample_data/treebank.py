"""The treebank: sentences drawn scene by scene, grouped into documents and splits."""

from __future__ import annotations

from collections.abc import Callable

from sample_data import combinations as two
from sample_data import constructions as one
from sample_data import descriptions
from sample_data import infinitives as nonfinite
from sample_data.clauses import Event
from sample_data.picker import Picker
from sample_data.scenes import Scene
from sample_data.scenes_home import GARDEN, KITCHEN, MOVING, WEATHER
from sample_data.scenes_town import FOOTBALL, LIBRARY, SCHOOL, TRAINS
from sample_data.scenes_work import BAKERY, CLINIC, OFFICE, REPAIRS
from sample_data.trees import Phrase, conllu_rows, text_of, with_capital

SCENES: tuple[Scene, ...] = (
    LIBRARY, KITCHEN, TRAINS, REPAIRS, FOOTBALL, OFFICE, GARDEN, BAKERY, SCHOOL, CLINIC, WEATHER, MOVING,
)  # fmt: skip
SHARES: dict[Callable[[Picker], Phrase], int] = {
    one.statement: 12,
    one.passive: 7,
    one.negation: 5,
    one.incident: 7,
    one.habit: 6,
    one.yes_no_question: 5,
    one.wh_question: 6,
    one.imperative: 5,
    one.suggestion: 4,
    descriptions.state: 9,
    descriptions.comparison: 4,
    descriptions.existential: 4,
    two.linked: 13,
    two.sequence: 5,
    two.object_relative: 4,
    two.subject_relative: 3,
    two.report: 7,
    two.indirect_question: 3,
    nonfinite.control: 5,
    nonfinite.object_control: 3,
    nonfinite.effort: 4,
    nonfinite.purpose: 2,
    nonfinite.sideways: 3,
    nonfinite.thanks: 1,
    two.direct_speech: 3,
}
# keyed by the document they close
GAPPED = {
    "kitchen-train-01": (Event("the cook", "make", "the soup"), "Omar", "the salad"),
    "trains-train-02": (Event("Anna", "order", "a cup of tea"), "Felix", "a glass of water"),
    "football-train-03": (Event("our captain", "score", "two goals"), "the new striker", "the third one"),
    "garden-dev-01": (Event("my father", "plant", "the leeks"), "both neighbours", "the tulip bulbs"),
    "office-test-01": (Event("the manager", "sign", "the contract"), "our intern", "the invitations"),
}
SIZES = {"train": 480, "dev": 110, "test": 110}
SENTENCES_PER_DOCUMENT = 10


def sentences(pick: Picker, seen: set[str], count: int) -> list[Phrase]:
    """Sentences of the scene of `pick` that have not been `seen` yet, noted there."""
    makers, shares = list(SHARES), list(SHARES.values())
    chosen: list[Phrase] = []
    while len(chosen) < count:
        (maker,) = pick.random.choices(makers, shares)
        sentence = with_capital(maker(pick))
        text = text_of(sentence)
        if text not in seen:
            seen.add(text)
            chosen.append(sentence)
    return chosen


def treebank(seed: int) -> dict[str, list[str]]:
    """The blocks of every split, one block of CoNLL-U lines a sentence."""
    pick, seen = Picker(seed), set[str]()
    splits: dict[str, list[str]] = {}
    for split, size in SIZES.items():
        blocks: list[str] = []
        for document in range(size // SENTENCES_PER_DOCUMENT):
            pick.scene = SCENES[document % len(SCENES)]
            name = f"{pick.scene.name}-{split}-{document // len(SCENES) + 1:02}"
            chosen = sentences(pick, seen, SENTENCES_PER_DOCUMENT)
            if name in GAPPED:
                chosen[-1] = with_capital(two.gapping(*GAPPED[name]))
            for number, sentence in enumerate(chosen, 1):
                opening = [f"# newdoc id = {name}"] if number == 1 else []
                comments = [*opening, f"# sent_id = {name}-{number:02}", f"# text = {text_of(sentence)}"]
                blocks.append("\n".join([*comments, *conllu_rows(sentence)]) + "\n")
        splits[split] = blocks
    return splits
