"""Horizontal bars of the benchmark's ratios, with the target of each as a mark, in SVG."""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from benchmarks.figures import Figure
from benchmarks.report import shown, target_of

# In pixels: a row with its label above its bar, and where bars begin and end.
ROW, BAR, TOP, LEFT, RIGHT, WIDTH = 48, 14, 44, 20, 740, 760
# Colours for a light and for a dark page; what misses its target also says so in words.
STYLE = """
  text { font: 13px sans-serif; fill: #1f2328 }
  .page { fill: #ffffff } .grid { stroke: #d0d7de } .bar { fill: #2f6fb0 } .missed { fill: #c2601c }
  .target { stroke: #1f2328; stroke-width: 3 } .spread { stroke: #57606a; stroke-width: 3 } .small { font-size: 11px }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .page { fill: #0d1117 } .grid { stroke: #30363d } .bar { fill: #5b9bd5 }
    .missed { fill: #e08a4c } .target { stroke: #e6edf3 } .spread { stroke: #9198a1 }
  }
"""


def plot(figures: Sequence[Figure], *, title: str) -> str:
    """An SVG of all figures that are ratios; those in seconds are left out."""
    drawn = [figure for figure in figures if figure.unit == "ratio"]
    tops = [*figure_values(drawn), 1.0]
    scale = (RIGHT - LEFT) / (1.05 * max(tops))
    height = TOP + ROW * len(drawn) + 30
    rows = [part for number, figure in enumerate(drawn) for part in _row(figure, TOP + ROW * number, scale)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f"aria-label={quoteattr(title)}>",
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}"/>',
            f'<text x="{LEFT}" y="24">{escape(title)}</text>',
            *_grid(max(tops), scale, height),
            *rows,
            "</svg>\n",
        ]
    )


def figure_values(figures: Sequence[Figure]) -> list[float]:
    """All that is to be seen on the axis: every round's values and the targets."""
    targets = [figure.target.value for figure in figures if figure.target is not None]
    return [*(value for figure in figures for value in figure.values), *targets]


def _grid(argmax: float, scale: float, height: int) -> list[str]:
    """Lines at every quarter, with their numbers below."""
    parts = []
    for quarter in range(int(4 * argmax) + 1):
        x = LEFT + quarter / 4 * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{height - 24}"/>')
        parts.append(
            f'<text class="small" x="{x:.1f}" y="{height - 10}" text-anchor="middle">{quarter / 4:g}</text>'
        )
    return parts


def _row(figure: Figure, y: int, scale: float) -> list[str]:
    """The label of a figure, its bar, a line below from the lowest to the highest round, and the mark of its target."""
    label = f"{figure.what}: {shown(figure, figure.measured)}"
    if figure.target is not None:
        label += f" ({target_of(figure)}: {'reached' if figure.is_reached else 'missed'})"
    bar = y + 18
    below = bar + BAR + 5
    first, last = (LEFT + bound * scale for bound in (min(figure.values), max(figure.values)))
    parts = [
        f'<text x="{LEFT}" y="{y + 12}">{escape(label)}</text>',
        f'<rect class="{"missed" if figure.is_reached is False else "bar"}" x="{LEFT}" y="{bar}" '
        f'width="{figure.measured * scale:.1f}" height="{BAR}"/>',
        f'<line class="spread" x1="{first:.1f}" y1="{below}" x2="{last:.1f}" y2="{below}"/>',
    ]
    if figure.target is not None:
        x = LEFT + figure.target.value * scale
        parts.append(f'<line class="target" x1="{x:.1f}" y1="{bar - 3}" x2="{x:.1f}" y2="{bar + BAR + 3}"/>')
    return parts
