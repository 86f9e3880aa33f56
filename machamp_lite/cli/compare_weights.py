"""The command that compares ways of weighting."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from machamp_lite import progress
from machamp_lite.acceleration.allocator import keep_freed_memory, limit_onednn_primitives
from machamp_lite.cli.arguments import add_verbosity, seed_faults
from machamp_lite.cli.console import shows_bars
from machamp_lite.cli.device import HELP as DEVICE_HELP
from machamp_lite.cli.device import choose_device, parse_device
from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.parser import Parser
from machamp_lite.cli.single_run import stoppable, train_one
from machamp_lite.errors import ConfigError, check_empty_names, nearest_file

if TYPE_CHECKING:
    from machamp_lite.config import Config


def compare_weights(arguments: Sequence[str] | None = None, *, prog: str = "compare-weights") -> int:
    """The compare-weights command; returns its exit code."""
    return run_command(lambda: _compare(_flags(arguments, prog)))


def compare_weights_parser(prog: str) -> Parser:
    """The arguments of the compare-weights command."""
    parser = Parser(
        prog=prog,
        description="Trains several ways of weighting with several seeds, and tests which one is better. Repeating the "
        "command resumes it.",
        removed={},
        examples=[
            "--dataset_configs configs/intents.json --model_dir runs/ways --task intent "
            "--way plain --way balanced class_weights=balanced",
        ],
    )
    add = parser.add_argument
    add("--dataset_configs", action="extend", nargs="+", required=True, metavar="FILE", help="as for train")
    add("--parameters_config", metavar="FILE", help="as for train")
    add("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="as for train; of all ways")
    add("--task", help="the task whose scores are compared (required with several tasks)")
    add("--metric", metavar="NAME", help="selects the best epoch, and is compared (default: of the task)")
    add(
        "--way",
        action="append",
        nargs="+",
        default=[],
        dest="ways",
        metavar=("NAME", "KEY=VALUE"),
        help="a name, and what it changes: options of the task (class_weights=balanced), or keys as for --set; the "
        "others are compared with the first",
    )
    add("--ways", dest="ways_file", metavar="FILE", help='a JSON file with ways: {"NAME": {"KEY": VALUE}, ...}')
    add("--seeds", nargs="+", type=int, default=[1, 2, 3], metavar="N", help="the random seeds (default: 1 2 3)")
    add("--model_dir", required=True, metavar="DIR", help="the folder of all runs, DIR/NAME/SEED, and of the report")
    add("--test", metavar="FILE", help="compare on this file with gold labels (default: the dev files)")
    add("--dataset", metavar="NAME", help="the dataset whose columns the test file has, if several have the task")
    add("--resamples", type=int, default=1000, metavar="N", help="of the test over sentences (default: 1000)")
    add("--device", type=parse_device, metavar="DEVICE", help=DEVICE_HELP)
    add("--data_cache", default="auto", metavar="auto|off|DIR", help="as for train")
    add_verbosity(parser)
    return parser


def _flags(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    flags = compare_weights_parser(prog).read(arguments)
    check_empty_names({f"--{name}": getattr(flags, name) for name in ("model_dir", "test", "ways_file", "data_cache")})
    faults = seed_faults(flags.seeds)
    if flags.resamples < 1:
        faults.append(f"--resamples: found {flags.resamples}, expected at least 1")
    if flags.dataset is not None and flags.test is None:
        faults.append("--dataset: has no effect without --test, expected both")
    if flags.test is not None and not Path(flags.test).exists():
        faults.append(f"--test: found no file {flags.test}{nearest_file(flags.test)}")
    if faults:
        raise ConfigError(faults)
    return flags


def _compare(flags: argparse.Namespace) -> int:
    limit_onednn_primitives(4096)
    set_up_logging(flags.log_level)
    # Before torch is imported, which takes seconds.
    configs, task = _load_configs(flags)
    dataset = _test_dataset(configs, task, flags) if flags.test else None
    from machamp_lite.cli.text_blocks import as_markdown, as_terminal_text
    from machamp_lite.cli.weight_comparison_text import blocks
    from machamp_lite.training.weight_comparison import WeightComparison

    device = choose_device(flags.device)
    if device == "cpu":
        keep_freed_memory()
    comparison = WeightComparison(
        folder=Path(flags.model_dir),
        configs=configs,
        seeds=flags.seeds,
        task=task,
        test=(dataset, Path(flags.test)) if dataset is not None else None,
    )
    comparison.group.start()

    def train_run(config: "Config", folder: Path, resume: bool) -> None:
        with progress.shown(shows_bars(flags.log_level)):
            train_one(config, folder, flags, device=device, overwrite=not resume, resume=resume)

    with stoppable(lambda: "repeat the command"):
        comparison.group.train(train_run)
    set_up_logging(flags.log_level)
    ways = comparison.score(device=device, resamples=flags.resamples)
    text = blocks(ways, files=comparison.file_names())
    report = comparison.write(ways, as_markdown(text, title=f"Ways of weighting: {task}"))
    if flags.log_level <= logging.INFO:
        print(as_terminal_text(text, sys.stdout))
    print(f"written: {report}")
    return 0


def _load_configs(flags: argparse.Namespace) -> "tuple[dict[str, Config], str]":
    """The config of each way, and the task."""
    from machamp_lite.config.loading import load_config
    from machamp_lite.config.ways import Way, load_ways, read_ways

    options = {"parameters_config": flags.parameters_config, "overrides": flags.overrides}
    task = flags.task
    if task is None:
        tasks = load_config(flags.dataset_configs, **options).tasks()
        if len(tasks) > 1:
            raise ConfigError(f"--task: missing, expected one of {', '.join(tasks)}")
        (task,) = tasks
    ways = [Way(name, tuple(overrides)) for name, *overrides in flags.ways]
    ways += read_ways(flags.ways_file) if flags.ways_file else []
    return load_ways(ways, flags.dataset_configs, task=task, metric=flags.metric, **options), task


def _test_dataset(configs: "dict[str, Config]", task: str, flags: argparse.Namespace) -> str:
    """The dataset whose columns the test file has."""
    datasets = next(iter(configs.values())).datasets
    known = [name for name, dataset in datasets.items() if task in dataset.tasks]
    if flags.dataset is None and len(known) == 1:
        return known[0]
    if flags.dataset not in known:
        found = "missing" if flags.dataset is None else f"found '{flags.dataset}'"
        raise ConfigError(f"--dataset: {found}, expected one with '{task}': {', '.join(known)}")
    return str(flags.dataset)
