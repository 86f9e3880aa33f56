"""Draws a gold and a predicted dependency tree over the same words as one SVG.

Arcs are above the words, as in displaCy. Wrong predicted arcs are below the words, so that each error is one arc above
and one below the same word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import combining, east_asian_width

from markupsafe import Markup

from machamp_lite.reporting.sentences import Sentence

# In pixels.
CHARACTER, GAP, STEP, LINE = 7.6, 22.0, 26.0, 20.0
LABEL_CHARACTER = 6.4


@dataclass(frozen=True, slots=True)
class Arc:
    """An arc to the word at ``word`` from the word at ``head``, from 0; the head of a root is -1."""

    word: int
    head: int
    relation: str
    kind: str

    @property
    def extent(self) -> tuple[float, float]:
        """Where it is above the words; a root is above its word alone."""
        if self.head < 0:
            return self.word - 0.5, self.word + 0.5
        return min(self.word, self.head), max(self.word, self.head)

    @property
    def order(self) -> tuple[bool, float]:
        """Arcs are drawn from the shortest to the longest, then roots."""
        start, end = self.extent
        return self.head < 0, end - start


def draw_tree(sentence: Sentence) -> Markup:
    """The SVG of a sentence with heads. Arcs have the classes ``right``, ``missed`` and ``wrong``."""
    assert sentence.heads is not None
    gold, predicted = sentence.heads
    above = [
        Arc(word, head - 1, str(relation), "missed" if is_wrong else "right")
        for word, (head, relation, is_wrong) in enumerate(
            zip(gold, sentence.gold, sentence.wrong, strict=True)
        )
        if head >= 0
    ]
    below = [
        Arc(word, head - 1, relation, "wrong")
        for word, (head, relation, is_wrong) in enumerate(
            zip(predicted, sentence.predicted, sentence.wrong, strict=True)
        )
        if is_wrong
    ]
    widths = [_width(word, CHARACTER) for word in sentence.words]
    for arc in (*above, *below):
        # The label of an arc between neighbours needs as much space as the arc has.
        widths[arc.word] = max(widths[arc.word], _width(arc.relation, LABEL_CHARACTER))
    centres, right = [], GAP / 2
    for width in widths:
        centres.append(right + width / 2)
        right += width + GAP
    upper, lower = _levels(above), _levels(below)
    base = STEP * (max(upper, default=0)) + LINE
    height = base + LINE + (STEP * max(lower) + LINE if lower else 6)
    parts = [
        *(_draw(arc, level, centres, base, -1) for arc, level in zip(above, upper, strict=True)),
        *(
            Markup('<text class="{}" x="{:.0f}" y="{:.0f}">{}</text>').format(
                "word bad" if is_wrong else "word", centre, base + 14, word
            )
            for centre, word, is_wrong in zip(centres, sentence.words, sentence.wrong, strict=True)
        ),
        *(_draw(arc, level, centres, base + LINE, 1) for arc, level in zip(below, lower, strict=True)),
    ]
    return Markup(
        '<svg class="tree" role="img" aria-label="{}" width="{:.0f}" height="{:.0f}">{}</svg>'
    ).format(describe(sentence), right, height, Markup("").join(parts))


def describe(sentence: Sentence) -> str:
    """The errors of a tree in words, for a screen reader."""
    assert sentence.heads is not None
    errors = [
        f"{word}: {relation} of {_head(sentence, head)}, predicted {other} of {_head(sentence, other_head)}"
        for word, relation, other, head, other_head, is_wrong in zip(
            sentence.words, sentence.gold, sentence.predicted, *sentence.heads, sentence.wrong, strict=True
        )
        if is_wrong
    ]
    return "; ".join(errors) or "a tree without errors"


def _head(sentence: Sentence, head: int) -> str:
    return sentence.words[head - 1] if head > 0 else "the root"


def _levels(arcs: Sequence[Arc]) -> list[int]:
    """The height of each arc, from 1: one above all shorter arcs with which it shares words."""
    levels = [0] * len(arcs)
    for index in sorted(range(len(arcs)), key=lambda index: arcs[index].order):
        start, end = arcs[index].extent
        shared = (
            level
            for level, other in zip(levels, arcs, strict=True)
            if level and max(start, other.extent[0]) < min(end, other.extent[1])
        )
        levels[index] = 1 + max(shared, default=0)
    return levels


def _draw(arc: Arc, level: int, centres: Sequence[float], base: float, side: int) -> Markup:
    """An arc with its label and the tip at its word; ``side`` is -1 above the words and 1 below them."""
    x, top = centres[arc.word], base + side * STEP * level
    tip = Markup('<path class="tip" d="M{:.0f} {:.0f}l-3.5 {}h7z"/>').format(x, base, 6 * side)
    if arc.head < 0:
        path, middle = f"M{x:.0f} {top:.0f}V{base:.0f}", x
    else:
        # Arcs to different words leave their head at different points.
        start = centres[arc.head] + (7 if arc.head < arc.word else -7)
        bend = 8 if arc.head < arc.word else -8
        path = (
            f"M{start:.0f} {base:.0f}V{top - side * 8:.0f}Q{start:.0f} {top:.0f} {start + bend:.0f} {top:.0f}"
            f"H{x - bend:.0f}Q{x:.0f} {top:.0f} {x:.0f} {top - side * 8:.0f}V{base:.0f}"
        )
        middle = (start + x) / 2
    return Markup('<g class="{}"><path d="{}"/>{}<text x="{:.0f}" y="{:.0f}">{}</text></g>').format(
        arc.kind, path, tip, middle, top + (-3 if side < 0 else 11), arc.relation
    )


def _width(text: str, character: float) -> float:
    """About the width of a text in pixels."""
    return sum(
        0 if combining(char) else 1.7 * character if east_asian_width(char) in "WF" else character
        for char in text
    )
