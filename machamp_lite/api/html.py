"""Predictions as HTML, for notebooks."""

from typing import TYPE_CHECKING
from zlib import crc32

from machamp_lite.api.conll import as_text

if TYPE_CHECKING:
    from markupsafe import Markup

    from machamp_lite.api.prediction import Prediction

_STYLE = """
<style>
.machamp-lite table { border-collapse: collapse; }
.machamp-lite td, .machamp-lite th { padding: .1rem .5rem; text-align: left; }
.machamp-lite mark { color: inherit; border-radius: .3rem; padding: .1rem .3rem; }
.machamp-lite .tree text { text-anchor: middle; fill: currentColor; font-size: 13px; }
.machamp-lite .tree path { fill: none; stroke: currentColor; }
.machamp-lite .tree .tip { fill: currentColor; stroke: none; }
.machamp-lite .tree g text { font-size: 11px; }
</style>
"""


def render(prediction: "Prediction") -> str:
    """A table of the labels of words, those of the text, the spans in the text, and the trees."""
    # Imported here, because most predictions are never drawn.
    from markupsafe import Markup

    words = {task: labels for task, labels in prediction.labels.items() if task in prediction.columns.words}
    parts = [Markup(_STYLE)]
    for task, label in prediction.labels.items():
        if task not in words:
            parts.append(Markup("<p><b>{}</b> {}</p>").format(task, as_text(label)))
    if words:
        rows = zip(prediction.words, *words.values(), strict=True)
        head = Markup("").join(map(Markup("<th>{}</th>").format, ("word", *words)))
        body = Markup("").join(
            Markup("<tr>{}</tr>").format(Markup("").join(map(Markup("<td>{}</td>").format, map(as_text, row))))
            for row in rows
        )
        parts.append(Markup("<table><tr>{}</tr>{}</table>").format(head, body))
    else:
        parts.insert(1, Markup("<p>{}</p>").format(prediction.text))
    parts += [_marked(prediction, task) for task in prediction.spans]
    parts += [_drawn(prediction, task) for task in prediction.heads]
    return str(Markup('<div class="machamp-lite">{}</div>').format(Markup("").join(parts)))


def _marked(prediction: "Prediction", task: str) -> "Markup":
    """The text with the spans of a task in colour."""
    from markupsafe import Markup

    text, done, parts = prediction.text, 0, [Markup("<b>{}</b> ").format(task)]
    for span in prediction.spans[task]:
        hue = crc32(span.label.encode("utf-8", "replace")) % 360
        parts.append(Markup("{}").format(text[done : span.start_char]))
        parts.append(
            Markup('<mark style="background: hsl({} 70% 50% / .25)">{} <small>{}</small></mark>').format(
                hue, span.text, span.label
            )
        )
        done = span.end_char
    return Markup("<p>{}{}</p>").format(Markup("").join(parts), text[done:])


def _drawn(prediction: "Prediction", task: str) -> "Markup":
    from machamp_lite.reporting.sentences import Sentence
    from machamp_lite.reporting.trees import draw_tree

    tree = prediction.tree(task)
    return draw_tree(
        Sentence(
            where="",
            words=prediction.words,
            gold=tree.relations,
            predicted=tree.relations,
            wrong=[False] * len(tree.heads),
            confusions=[],
            labels=[],
            heads=(tree.heads, tree.heads),
        )
    )
