"""A way is recommended only if the difference is beyond the noise of seeds and of sentences."""

import pytest

from machamp_lite.cli.text_blocks import as_markdown
from machamp_lite.cli.weight_comparison_text import blocks, recommendation, table
from machamp_lite.training.weight_comparison import WayScores

PLAIN = WayScores("plain", {"f1_macro": [0.70, 0.72, 0.71], "recall of a|b": [0.1, 0.2, 0.3]})

NO_DIFFERENCE = "No difference beyond the noise of 3 seeds: keep 'plain'."


def way(name: str, scores: list[float], *, p_seeds: float = 0.25, p_sentences: float = 0.01) -> WayScores:
    return WayScores(name, {"f1_macro": scores, "recall of a|b": [0.5] * len(scores)}, p_seeds, p_sentences)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([way("focal", [0.75, 0.76, 0.77])], "Use 'focal': its f1_macro is better than that of 'plain' (+5.00 on"),
        # Sentences may differ by chance.
        ([way("focal", [0.75, 0.76, 0.77], p_sentences=0.2)], NO_DIFFERENCE),
        # One seed disagrees.
        ([way("focal", [0.75, 0.71, 0.77])], NO_DIFFERENCE),
        ([way("focal", [0.65, 0.66, 0.67])], "No way is better beyond the noise of 3 seeds: keep 'plain'. Worse than"),
        ([way("a", [0.75, 0.76, 0.77]), way("b", [0.8, 0.8, 0.8]), way("c", [0.6, 0.6, 0.6])], "Use 'b'"),
    ],
)
def test_recommendations(others: list[WayScores], expected: str) -> None:
    assert recommendation([PLAIN, *others]).startswith(expected)


def test_with_many_seeds_their_p_value_decides() -> None:
    plain = WayScores("plain", {"accuracy": [0.5] * 6})
    other = {"accuracy": [0.6, 0.6, 0.6, 0.6, 0.6, 0.49]}
    assert recommendation([plain, WayScores("new", other, 0.03, 0.01)]).startswith("Use 'new'")
    assert recommendation([plain, WayScores("new", other, 0.06, 0.01)]).startswith("No difference")


def test_of_errors_the_lower_is_better() -> None:
    plain = WayScores("plain", {"mae": [0.5, 0.5, 0.6]})
    lower = WayScores("lower", {"mae": [0.25, 0.25, 0.5]}, 0.25, 0.01)
    assert recommendation([plain, lower]).startswith("Use 'lower': its mae is better than that of 'plain' (-0.2000 on")
    assert table([plain, lower]).rows[1][:4] == ["lower", "0.3333 ± 0.1443", "0.2500", "-0.2000"]


def test_the_table_is_markdown() -> None:
    text = as_markdown(blocks([PLAIN, way("focal", [0.75, 0.76, 0.77])], files=["dev.conll"]), title="intent")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == "| way | f1_macro | best | difference | p (seeds) | p (sentences) | recall of a\\|b |"
    assert lines[2] == "| plain | 71.00 ± 1.00 | 72.00 |  |  |  | 20.00 ± 10.00 |"
    assert lines[3] == "| focal | 76.00 ± 1.00 | 77.00 | +5.00 | 0.250 | 0.010 | 50.00 ± 0.00 |"
