"""Trees: one arc per word, wrong ones once above and once below the words, and no two arcs in the same place."""

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from machamp_lite.reporting.sentences import Sentence
from machamp_lite.reporting.trees import Arc, _levels, describe, draw_tree


def sentence(words: list[str], gold: list[tuple[int, str]], predicted: list[tuple[int, str]]) -> Sentence:
    return Sentence(
        where="dev.conllu:1",
        words=words,
        gold=[relation for _, relation in gold],
        predicted=[relation for _, relation in predicted],
        wrong=[one != other for one, other in zip(gold, predicted, strict=True)],
        confusions=[],
        labels=[],
        heads=([head for head, _ in gold], [head for head, _ in predicted]),
    )


GOLD = [(2, "det"), (3, "nsubj"), (0, "root"), (3, "obj")]
PREDICTED = [(2, "det"), (3, "obj"), (0, "root"), (2, "obj")]
TREE = sentence(["the", "<dogs>", "eat", "A&B"], GOLD, PREDICTED)


def test_wrong_arcs_are_drawn_twice_and_right_ones_once() -> None:
    drawn = ElementTree.fromstring(str(draw_tree(TREE)))
    kinds = [group.get("class") for group in drawn.iter("g")]
    assert sorted(filter(None, kinds)) == ["missed", "missed", "right", "right", "wrong", "wrong"]
    words = [text.text for text in drawn.iter("text") if "word" in str(text.get("class"))]
    assert words == TREE.words


def test_errors_are_described_in_words() -> None:
    errors = "<dogs>: nsubj of eat, predicted obj of eat; A&B: obj of eat, predicted obj of <dogs>"
    assert describe(TREE) == errors
    assert describe(sentence(["a"], [(0, "root")], [(0, "root")])) == "a tree without errors"


def test_a_tree_fits_into_its_picture() -> None:
    drawn = ElementTree.fromstring(str(draw_tree(TREE)))
    width, height = float(drawn.get("width", 0)), float(drawn.get("height", 0))
    for text in drawn.iter("text"):
        assert 0 < float(text.get("x", -1)) < width
        assert 8 < float(text.get("y", -1)) < height
    for path in drawn.iter("path"):
        across, *_, up = re.findall(r"-?\d+", str(path.get("d")))[:2]
        assert 0 <= float(across) <= width and 0 <= float(up) <= height


@given(st.lists(st.integers(-1, 11), min_size=1, max_size=12))
def test_arcs_over_the_same_words_have_different_heights(heads: list[int]) -> None:
    arcs = [Arc(word, head, "x", "right") for word, head in enumerate(heads) if head != word and head < len(heads)]
    levels = _levels(arcs)
    for number, (arc, level) in enumerate(zip(arcs, levels, strict=True)):
        for other, other_level in zip(arcs[:number], levels[:number], strict=True):
            shares = max(arc.extent[0], other.extent[0]) < min(arc.extent[1], other.extent[1])
            assert not shares or level != other_level
