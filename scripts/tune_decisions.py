"""Tunes how tasks decide, and the temperature of their probabilities, on a file with gold labels.

    python scripts/tune_decisions.py MODEL DEV_FILE [--dataset NAME] [--task TASK] [--metric METRIC]
                                     [--min_precision P] [--write]
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machamp_lite import load
from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.inference.calibration import fit_temperatures
from machamp_lite.inference.dataset_matching import matching_dataset
from machamp_lite.inference.decision_tuning import Rule, TunedDecision, tunable_tasks, tune_decision
from machamp_lite.inference.decisions import TaskChanges, change_options, store_options
from machamp_lite.metrics import METRICS
from machamp_lite.model.model_folder import find_model_folder

logger = logging.getLogger("machamp_lite")


def main() -> int:
    """Prints a table of rules for each task, and stores the best ones in the model folder with ``--write``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", help="a run folder, or its model folder")
    parser.add_argument("file", metavar="DEV_FILE", help="a file with gold labels")
    parser.add_argument("--dataset", help="default: chosen by the format of the file")
    parser.add_argument("--task", help="default: all tasks whose decisions can be tuned")
    parser.add_argument("--metric", help="what to maximise (default: the main metric of each task)")
    parser.add_argument(
        "--min_precision",
        type=float,
        metavar="P",
        help="for tasks with any number of labels: the most recall of each label with at least this precision",
    )
    parser.add_argument("--write", action="store_true", help="store the best decisions in the model folder")
    flags = parser.parse_args()
    if flags.min_precision is not None and not 0 <= flags.min_precision <= 1:
        raise ConfigError(f"--min_precision: found {flags.min_precision:g}, expected a number from 0 to 1")
    set_up_logging()
    model = load(flags.model)
    dataset = matching_dataset(model.config, flags.dataset, flags.file, vocabularies=model.vocabularies)
    config = find_dataset(model.config, dataset)
    tasks = tunable_tasks(config, dataset, flags.task, several_labels=flags.min_precision is not None)
    examples = DatasetReader(
        name=dataset, config=config, tokenizer=model.tokenizer, vocabularies=model.vocabularies
    ).read_evaluation(flags.file)
    temperatures = fit_temperatures(model, {dataset: examples}, tasks)
    changes: TaskChanges = {task: {"temperature": fit.temperature} for task, fit in temperatures.items()}
    # Before thresholds are tuned, because they are compared with calibrated probabilities.
    change_options(model, changes)
    for task in tasks:
        if task in temperatures:
            print(f"{task}: {temperatures[task]}")
        options = model.config.tasks()[task]
        if getattr(options, "costs", None):
            print(f"{task}: decides by its costs, so there is nothing else to tune")
            continue
        tuned = tune_decision(
            model, examples, task=task, metric=flags.metric, min_precision=flags.min_precision
        )
        if tuned is None:
            print(f"{task}: found too few annotated sentences to tune its decisions")
            continue
        print_rules(tuned)
        changes.setdefault(task, {}).update(tuned.best.options)
    if not changes:
        raise DataError(f"{flags.file}: found no labels of {', '.join(tasks)}, expected some to tune decisions on")
    if flags.write:
        print(f"written: {store_options(find_model_folder(flags.model), changes)}")
    return 0


def print_rules(tuned: TunedDecision) -> None:
    """Prints the metric of each rule, and the best one; warns if it fits the file better than other files."""
    as_text = METRICS[tuned.metric].as_text
    print(f"| {tuned.task} | {tuned.metric}, tuned on this file | cross-validated |\n|---|---|---|")
    for rule in tuned.rules:
        print(f"| {describe(rule)} | {as_text(rule.tuned)} | {as_text(rule.cross_validated)} |")
    print(f"best: {describe(tuned.best)}")
    if any(rule.overfits for rule in tuned.rules):
        names = ", ".join(rule.name for rule in tuned.rules if rule.overfits)
        logger.warning(
            "%s: %s: most of the gain is lost on sentences that were not used for tuning", tuned.task, names
        )


def describe(rule: Rule) -> str:
    """The name of a rule, and its number if it has a single one."""
    numbers = [value for value in rule.options.values() if isinstance(value, float)]
    return f"{rule.name} {numbers[0]:g}" if len(numbers) == 1 and rule.name != "plain" else rule.name


if __name__ == "__main__":
    sys.exit(run_command(main))
