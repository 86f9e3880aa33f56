"""The text of a comparison of ways of weighting: a table, and a recommendation."""

import statistics
from collections.abc import Sequence

from machamp_lite.cli.text_blocks import Block, Table
from machamp_lite.errors import counted
from machamp_lite.metrics import METRICS
from machamp_lite.metrics.significance import SIGNIFICANCE
from machamp_lite.training.weight_comparison import WayScores, as_text

# With fewer seeds, no permutation test over seeds has a p-value of 0.05 or less.
MIN_SEEDS_FOR_TEST = 6


def blocks(ways: Sequence[WayScores], *, files: Sequence[str]) -> list[Block]:
    """The parts of the text: what was compared, the table, and the recommendation."""
    seeds = counted(len(next(iter(ways[0].scores.values()))), "seed")
    what = f"Mean ± standard deviation of {seeds} on {', '.join(files)}. Differences are from '{ways[0].name}'."
    return [what, table(ways), recommendation(ways)]


def table(ways: Sequence[WayScores]) -> Table:
    """One row per way: mean and standard deviation over seeds, the best seed, the difference from the first way."""
    metric, *others = ways[0].scores
    rows = []
    for way in ways:
        best = (max if METRICS[metric].higher_is_better else min)(way.scores[metric])
        tests = ["", "", ""]
        if way.p_seeds is not None and way.p_sentences is not None:
            tests = [_signed(metric, _gain(ways[0], way)), f"{way.p_seeds:.3f}", f"{way.p_sentences:.3f}"]
        spreads = [_spread(column, way.scores[column]) for column in (metric, *others)]
        rows.append([way.name, spreads[0], as_text(metric, best), *tests, *spreads[1:]])
    return Table(["way", metric, "best", "difference", "p (seeds)", "p (sentences)", *others], rows, names=1)


def recommendation(ways: Sequence[WayScores]) -> str:
    """The way to use. A difference counts if it is beyond the noise of both seeds and sentences, see ``_verdict``."""
    baseline, *others = ways
    metric = next(iter(baseline.scores))
    better = [way for way in others if _verdict(baseline, way) > 0]
    worse = [way.name for way in others if _verdict(baseline, way) < 0]
    down = f" Worse than '{baseline.name}': {', '.join(worse)}." if worse else ""
    seeds = counted(len(baseline.scores[metric]), "seed")
    if not better:
        what = "No way is better" if worse else "No difference"
        return f"{what} beyond the noise of {seeds}: keep '{baseline.name}'.{down}"
    sign = 1 if METRICS[metric].higher_is_better else -1
    best = max(better, key=lambda way: sign * statistics.mean(way.scores[metric]))
    gain = _signed(metric, _gain(baseline, best))
    return (
        f"Use '{best.name}': its {metric} is better than that of '{baseline.name}' ({gain} on average of {seeds}, "
        f"p = {best.p_sentences:.3f} over sentences).{down}"
    )


def _gain(baseline: WayScores, way: WayScores) -> float:
    metric = next(iter(way.scores))
    return statistics.mean(way.scores[metric]) - statistics.mean(baseline.scores[metric])


def _verdict(baseline: WayScores, way: WayScores) -> int:
    """1 if a way is better than the baseline, -1 if it is worse, 0 if the difference may be chance.

    The p-value over sentences must be low. With enough seeds, so must the one over seeds; with fewer seeds, all of
    them must agree.
    """
    assert way.p_seeds is not None and way.p_sentences is not None
    metric = next(iter(way.scores))
    sign = 1 if METRICS[metric].higher_is_better else -1
    pairs = zip(way.scores[metric], baseline.scores[metric], strict=True)
    signs = {(sign * (one - other) > 0) - (sign * (one - other) < 0) for one, other in pairs}
    has_test = len(way.scores[metric]) >= MIN_SEEDS_FOR_TEST
    seeds_agree = way.p_seeds <= SIGNIFICANCE if has_test else len(signs) == 1
    if way.p_sentences > SIGNIFICANCE or not seeds_agree:
        return 0
    gain = sign * _gain(baseline, way)
    return (gain > 0) - (gain < 0)


def _spread(column: str, values: Sequence[float]) -> str:
    deviation = f" ± {as_text(column, statistics.stdev(values))}" if len(values) > 1 else ""
    return f"{as_text(column, statistics.mean(values))}{deviation}"


def _signed(metric: str, value: float) -> str:
    return f"{'-' if value < 0 else '+'}{as_text(metric, abs(value))}"
