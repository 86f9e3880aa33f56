"""The command that tunes how tasks decide, and the temperature of their probabilities, on a file with gold labels."""

import argparse
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from machamp_lite.acceleration import load_accelerated
from machamp_lite.cli.device import HELP as DEVICE_HELP
from machamp_lite.cli.device import choose_device, parse_device
from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.parser import Parser
from machamp_lite.errors import ConfigError, DataError, counted, first_items, one_line

if TYPE_CHECKING:
    from machamp_lite.inference.decision_tuning import Rule, TunedDecision
    from machamp_lite.inference.dev_scores import DevScores
    from machamp_lite.inference.target_tuning import TunedTarget

logger = logging.getLogger("machamp_lite")


def tune_decisions(arguments: Sequence[str] | None = None, *, prog: str = "tune-decisions") -> int:
    """The tune-decisions command; returns its exit code."""
    return run_command(lambda: _tune(_flags(arguments, prog)))


def tune_decisions_parser(prog: str) -> Parser:
    """The arguments of the tune-decisions command."""
    parser = Parser(
        prog=prog,
        description="Tunes how tasks decide, and the temperatures of their probabilities, on a file with gold labels.",
        removed={},
        examples=[
            "runs/first data/xsid/dev.conll --write",
            "runs/first data/xsid/dev.conll --task intent --min_precision 0.9",
        ],
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="a run folder, or its model folder")
    add("file", metavar="DEV_FILE", help="a file with gold labels, which is not the file of the final scores")
    add("--dataset", metavar="NAME", help="the dataset whose columns the file has (default: by its format and labels)")
    add("--task", help="one task (default: all tasks whose decisions can be tuned)")
    add("--metric", metavar="NAME", help="what to maximise (default: the main metric of each task)")
    add("--min_precision", type=float, metavar="P", help="maximise the recall of labels with a precision of at least P")
    add("--min_recall", type=float, metavar="R", help="maximise the precision of labels with a recall of at least R")
    add("--label", help="with --min_precision or --min_recall, one label (default: positive_label of the task; all "
        "labels, if items have any number of them)")  # fmt: skip
    add("--write", action="store_true", help="store the best decisions and temperatures in the model folder")
    add("--device", type=parse_device, metavar="DEVICE", help=DEVICE_HELP)
    return parser


def _flags(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    flags = tune_decisions_parser(prog).read(arguments)
    faults = []
    for name in ("min_precision", "min_recall"):
        value = getattr(flags, name)
        if value is not None and not 0 <= value <= 1:
            faults.append(f"--{name}: found {value:g}, expected a number from 0 to 1")
    flags.has_target = flags.min_precision is not None or flags.min_recall is not None
    if flags.min_precision is not None and flags.min_recall is not None:
        faults.append("--min_recall: found together with --min_precision, expected one of them")
    if flags.has_target and flags.metric is not None:
        faults.append("--metric: has no effect with --min_precision or --min_recall, expected one of them")
    if flags.label is not None and not flags.has_target:
        faults.append("--label: has no effect without --min_precision or --min_recall, expected both")
    if faults:
        raise ConfigError(faults)
    return flags


def _tune(flags: argparse.Namespace) -> int:
    """Prints a table of rules for each task, and stores the best ones in the model folder with ``--write``."""
    set_up_logging()
    from machamp_lite.model.model_folder import find_model_folder

    # Before torch is imported.
    folder = find_model_folder(flags.model)
    from machamp_lite.config.joint_datasets import find_dataset
    from machamp_lite.dataloading.dataset_reader import DatasetReader
    from machamp_lite.inference.calibration import fit_temperatures, has_temperature
    from machamp_lite.inference.dataset_matching import matching_dataset
    from machamp_lite.inference.decision_tuning import tunable_tasks, tune_decision
    from machamp_lite.inference.decisions import TaskChanges, change_options, store_options
    from machamp_lite.inference.dev_scores import FOLDS, check_metric, dev_scores
    from machamp_lite.inference.target_tuning import Target, target_labels, tune_target

    model = load_accelerated(folder, device=choose_device(flags.device))
    dataset = matching_dataset(model.config, flags.dataset, flags.file, vocabularies=model.vocabularies)
    config = find_dataset(model.config, dataset)
    tasks = tunable_tasks(config, dataset, flags.task)
    # Before the model is run.
    if flags.metric is not None:
        for task in tasks:
            check_metric(config.tasks[task], flags.metric, task=task)
    if flags.has_target:
        for task in tasks:
            target_labels(model, task, flags.label)
        if flags.min_recall is None:
            target = Target(minimum=flags.min_precision, of="precision")
        else:
            target = Target(minimum=flags.min_recall, of="recall")
    reader = DatasetReader(name=dataset, config=config, tokenizer=model.tokenizer, vocabularies=model.vocabularies)
    examples = reader.read_evaluation(flags.file)
    others = [] if flags.task else [task for task, options in config.active().tasks.items() if has_temperature(options)]
    temperatures = fit_temperatures(model, {dataset: examples}, list(dict.fromkeys([*tasks, *others])))
    changes: TaskChanges = {task: {"temperature": fit.temperature} for task, fit in temperatures.items()}
    # Before thresholds are tuned, because they are compared with calibrated probabilities.
    change_options(model, changes)
    for task, fit in temperatures.items():
        print(f"{one_line(task)}: {fit}")
    for task in tasks:
        if getattr(model.config.tasks()[task], "costs", None):
            print(f"{one_line(task)}: decides by its costs, so there is nothing else to tune")
            continue
        data: DevScores | None = dev_scores(model, examples, task=task, metric=flags.metric)
        if data is None:
            print(f"{one_line(task)}: found fewer than {FOLDS} annotated sentences, too few to tune its decisions")
        elif flags.has_target:
            reached = tune_target(data, task=task, labels=target_labels(model, task, flags.label), target=target)
            _print_labels(reached)
            changes.setdefault(task, {}).update(reached.options)
        else:
            tuned = tune_decision(data, task=task)
            _print_rules(tuned)
            changes.setdefault(task, {}).update(tuned.best.options)
    if not changes:
        raise DataError(f"{flags.file}: found no labels of {', '.join(tasks)}, expected some to tune decisions on")
    if flags.write:
        print(f"written: {one_line(str(store_options(folder, changes)))}")
    return 0


def _print_rules(tuned: "TunedDecision") -> None:
    """Prints the metric of each rule, and the best one; warns if it fits the file better than other files."""
    from machamp_lite.metrics import METRICS

    as_text = METRICS[tuned.metric].as_text
    print(f"| {one_line(tuned.task)} | {tuned.metric}, tuned on this file | cross-validated |\n|---|---|---|")
    for rule in tuned.rules:
        print(f"| {_describe(rule)} | {as_text(rule.tuned)} | {as_text(rule.cross_validated)} |")
    print(f"best: {_describe(tuned.best)}")
    if any(rule.overfits for rule in tuned.rules):
        names = ", ".join(rule.name for rule in tuned.rules if rule.overfits)
        logger.warning(
            "%s: %s: most of the gain is lost on sentences that were not used for tuning", tuned.task, names
        )


def _describe(rule: "Rule") -> str:
    """The name of a rule, and its number if it has a single one."""
    numbers = [value for value in rule.options.values() if isinstance(value, float)]
    return f"{rule.name} {numbers[0]:g}" if len(numbers) == 1 and rule.name in ("tau", "one threshold") else rule.name


def _print_labels(tuned: "TunedTarget") -> None:
    """Prints the precision and recall of each label; warns of labels with too few items."""
    from machamp_lite.inference.decision_tuning import MIN_LABEL_ITEMS

    kind = "offset" if "offsets" in tuned.options else "threshold"
    print(
        f"| {one_line(tuned.task)} | {kind} | precision, recall on this file | cross-validated |\n|---|---|---|---|"
    )
    for row in tuned.labels:
        scores = (", ".join(f"{100 * score:.2f}" for score in pair) for pair in (row.tuned, row.held_out))
        print(f"| {one_line(row.label)} | {row.value:.4g} | {' | '.join(scores)} |")
    if tuned.rare:
        logger.warning(
            "%s: %s with fewer than %d items in the file decided as before: %s",
            tuned.task,
            counted(len(tuned.rare), "label"),
            MIN_LABEL_ITEMS,
            first_items(tuned.rare),
        )
