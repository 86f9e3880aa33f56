"""Compares variants of weighting: trains each with several seeds and prints its scores on a test file.

A variant is NAME or NAME=KEY=VALUE[,KEY=VALUE...], with keys as in --set:

    python scripts/compare_weights.py --dataset_configs cfg.json --dataset D --task label --test test.tsv
        none balanced=D.tasks.label.class_weights=balanced focal=D.tasks.label.focal_gamma=2
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machamp_lite import load, load_config, predict_file, train
from machamp_lite.inference.evaluation import MetricTracker


def scores_of(flags: argparse.Namespace, overrides: Sequence[str], seed: int) -> tuple[float, float, float]:
    """Accuracy, macro F1 and recall of the rarest training label on the test file, in percent."""
    config = load_config(flags.dataset_configs, overrides=[*flags.overrides, *overrides], seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        train(config, folder, progress=False)
        model = load(folder)
        tracker = MetricTracker(model.config.datasets[flags.dataset].tasks)
        predict_file(model, flags.test, Path(folder) / "test.out", dataset=flags.dataset, tracker=tracker)
    scores = tracker.label_scores()[flags.task]
    rarest = model.vocabularies[flags.task].most_frequent()[-1][0]
    rows = scores.rows()
    support = sum(row.support for row in rows)
    accuracy = sum(row.recall * row.support for row in rows) / support
    recall = next(row.recall for row in rows if row.label == rarest)
    return 100 * accuracy, 100 * scores.macro().f1, 100 * recall


def cell(values: Sequence[float]) -> str:
    """A mean and its standard deviation over seeds."""
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values) if len(values) > 1 else 0:.1f}"


def main() -> None:
    """Prints one row per variant as soon as it is finished."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset_configs", nargs="+", required=True, metavar="FILE")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--test", required=True, metavar="FILE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("variants", nargs="+", metavar="VARIANT")
    flags = parser.parse_args()
    print("| | accuracy | macro F1 | recall of the rarest label |\n|---|---|---|---|", flush=True)
    for variant in flags.variants:
        name, _, overrides = variant.partition("=")
        runs = [scores_of(flags, overrides.split(",") if overrides else [], seed) for seed in flags.seeds]
        print(f"| {name} | {' | '.join(cell(values) for values in zip(*runs, strict=True))} |", flush=True)


if __name__ == "__main__":
    main()
