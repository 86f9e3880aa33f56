"""Tries thresholds of a task with sets of labels on a file with gold labels, and prints the score of each.

    python scripts/tune_threshold.py MODEL DEV_FILE [--dataset NAME] [--task TASK] [--metric METRIC] [--write]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machamp_lite import load
from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.inference.dataset_matching import matching_dataset
from machamp_lite.inference.thresholds import choose_task, save_threshold, tune
from machamp_lite.metrics import METRICS
from machamp_lite.model.model_folder import find_model_folder


def main() -> int:
    """Prints a table and the best threshold, which ``--write`` stores in the model folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", help="a run folder, or its model folder")
    parser.add_argument("file", metavar="DEV_FILE", help="a file with gold labels")
    parser.add_argument("--dataset", help="default: chosen by the format of the file")
    parser.add_argument("--task", help="default: the only one with a threshold")
    parser.add_argument("--metric", help="default: the task's main metric")
    parser.add_argument("--write", action="store_true", help="store the best threshold in the model folder")
    flags = parser.parse_args()
    set_up_logging()
    model = load(flags.model)
    dataset = matching_dataset(model.config, flags.dataset, flags.file, vocabularies=model.vocabularies)
    task = choose_task(find_dataset(model.config, dataset), dataset, flags.task, flag="--task")
    tuned = tune(model, flags.file, dataset=dataset, task=task, metric=flags.metric)
    as_text = METRICS[tuned.metric].as_text
    print(f"| threshold | {tuned.metric} of {task} |\n|---|---|")
    for threshold, value in tuned.values.items():
        print(f"| {threshold:.2f} | {as_text(value)} |")
    before = model.config.tasks()[task].model_dump()["threshold"]
    print(f"best: {tuned.best:.2f} ({as_text(tuned.values[tuned.best])}); the model has {before:g}")
    if flags.write:
        folder = find_model_folder(flags.model)
        save_threshold(folder, task, tuned.best)
        print(f"written: {folder / 'config.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
