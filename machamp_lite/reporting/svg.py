"""Figures in the style of the pages of reports, drawn by matplotlib as SVG without scripts.

Colours are variables of the page's style sheet, so that a figure follows its theme. Matplotlib needs colours in
hexadecimal form: each variable is drawn in a colour of its own, which is then replaced by its name.
"""

import io
import re
import warnings
from contextlib import AbstractContextManager
from typing import Any

from markupsafe import Markup

# More runs or metrics repeat the colours.
SERIES = 8
_VARIABLES = {
    "#000001": "var(--ink)",
    "#000002": "var(--muted)",
    "#000003": "var(--line)",
    "#000004": "var(--accent)",
    **{f"#0000a{number}": f"var(--series-{number})" for number in range(SERIES)},
}
INK, MUTED, LINE, ACCENT, *COLOURS = _VARIABLES
_STYLE = {
    "svg.fonttype": "none",
    # Ids are different in all charts of a page.
    "svg.hashsalt": None,
    "font.size": 10,
    # Labels are text, not formulas.
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 4,
}


def style() -> AbstractContextManager[None]:
    """The context in which figures are drawn."""
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def new_figure(width: float, height: float) -> Any:
    """An empty figure in the style of the page; in inches."""
    from matplotlib.figure import Figure

    figure = Figure((width, height))
    # Fixed margins take a tenth of the time of a computed layout.
    left, right, bottom, top = 0.65 / width, 1 - 0.1 / width, 0.5 / height, 1 - 0.3 / height
    figure.subplots_adjust(left=left, right=right, bottom=bottom, top=top, hspace=0.15)
    return figure


def as_svg(figure: Any) -> Markup:
    """The SVG element of a figure, with the colours and the font of the page."""
    output = io.StringIO()
    with warnings.catch_warnings():
        # About characters that the font for measuring texts does not have.
        warnings.simplefilter("ignore")
        figure.savefig(output, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = output.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    # Its style sheet would be that of the whole page.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    # Names of groups, which would be repeated in a page with several charts.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    return Markup(
        re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg class="chart" aria-hidden="true" \1>', text)
    )


def shortened(text: str) -> str:
    """A name that is short enough for a figure."""
    return text if len(text) <= 24 else f"{text[:23]}…"
