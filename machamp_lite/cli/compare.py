"""The command that compares the predictions of two runs."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from machamp_lite import progress
from machamp_lite.cli.arguments import add_verbosity
from machamp_lite.cli.console import shows_bars
from machamp_lite.cli.device import HELP as DEVICE_HELP
from machamp_lite.cli.device import choose_device, parse_device
from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.parser import Parser
from machamp_lite.errors import ConfigError, check_empty_names, nearest_file, one_line
from machamp_lite.files.streams import is_stream
from machamp_lite.model.model_folder import find_model_folder

if TYPE_CHECKING:
    from machamp_lite.inference.comparison import TaskComparison
    from machamp_lite.inference.predicted_sentences import PredictedFile

# The beginning of the title of a file that this command wrote.
TITLE = "Comparison of "


def compare(arguments: Sequence[str] | None = None, *, prog: str = "compare") -> int:
    """The compare command; returns its exit code."""
    return run_command(lambda: _compare(_flags(arguments, prog)))


def compare_parser(prog: str) -> Parser:
    """The arguments of the compare command."""
    parser = Parser(
        prog=prog,
        description="Compares the predictions of two runs for the same sentences, with tests of significance.",
        removed={},
        examples=[
            "runs/first runs/second",
            "runs/first runs/second --test data/ewt/test.conllu --markdown comparison.md",
        ],
    )
    add = parser.add_argument
    add("first", metavar="RUN", help="a run folder (with --test also a model folder)")
    add("second", metavar="RUN", help="another one")
    add("--test", metavar="FILE", help="predict this file with gold labels (default: the dev predictions of the runs)")
    add("--dataset", metavar="NAME", help="the dataset whose columns the test file has (default: recognised)")
    add("--sentences", type=int, default=5, metavar="N", help="show at most N changed sentences per task (default: 5)")
    add("--resamples", type=int, default=1000, metavar="N", help="the number of resamples of each test (default: 1000)")
    add(
        "--correction",
        choices=("holm", "bonferroni"),
        default="holm",
        help="of p-values for the number of metrics (default: holm)",
    )
    add("--markdown", metavar="FILE", help="also write the comparison as Markdown")
    add("--device", type=parse_device, metavar="DEVICE", help=f"with --test: {DEVICE_HELP}")
    add_verbosity(parser)
    return parser


def _flags(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    flags = compare_parser(prog).read(arguments)
    check_empty_names({name: getattr(flags, name) for name in ("first", "second")})
    check_empty_names({f"--{name}": getattr(flags, name) for name in ("test", "markdown")})
    faults = []
    for name, least in (("sentences", 0), ("resamples", 1)):
        if getattr(flags, name) < least:
            faults.append(f"--{name}: found {getattr(flags, name)}, expected at least {least}")
    for name in ("dataset", "device"):
        if flags.test is None and getattr(flags, name) is not None:
            faults.append(f"--{name}: has no effect without --test, expected both")
    if flags.test is not None and not Path(flags.test).exists():
        faults.append(f"--test: found no file {flags.test}{nearest_file(flags.test)}")
    if flags.markdown is not None and not Path(flags.markdown).parent.is_dir():
        faults.append(f"--markdown: the folder {Path(flags.markdown).parent} does not exist")
    if faults:
        raise ConfigError(faults)
    return flags


def _compare(flags: argparse.Namespace) -> int:
    set_up_logging(flags.log_level)
    if flags.markdown is not None:
        _check_markdown(Path(flags.markdown))
    # Before torch is imported.
    for run in (flags.first, flags.second):
        if flags.test is not None:
            find_model_folder(run)
        elif not os.path.isdir(run):
            raise ConfigError(f"{run}: found no such folder, expected a run folder{nearest_file(run)}")
    from machamp_lite.cli.comparison_text import blocks
    from machamp_lite.cli.text_blocks import as_markdown, as_terminal_text
    from machamp_lite.files.atomic import replacing_file
    from machamp_lite.inference.comparison import correct

    is_quiet = flags.log_level > logging.INFO
    with progress.shown(shows_bars(flags.log_level)):
        pairs = _predicted_test(flags) if flags.test is not None else _kept_dev(flags)
        comparisons = _all_comparisons(pairs, flags)
    parts = list(
        blocks(
            correct(comparisons, flags.correction),
            correction=flags.correction,
            resamples=flags.resamples,
            sentences=flags.sentences,
        )
    )
    parts.insert(0, f"A: {one_line(flags.first)}, B: {one_line(flags.second)}, on {', '.join(map(one_line, pairs))}")
    if not is_quiet:
        print(as_terminal_text(parts, sys.stdout))
    if flags.markdown is not None:
        with replacing_file(flags.markdown) as file:
            file.write(as_markdown(parts, title=f"{TITLE}{one_line(flags.first)} and {one_line(flags.second)}"))
        print(f"written: {one_line(flags.markdown)}")
    return 0


def _check_markdown(path: Path) -> None:
    """Raises ``ConfigError`` for a file that was not written by this command."""
    if is_stream(path) or not os.path.lexists(path):
        return
    try:
        is_own = path.is_file() and path.read_text(encoding="utf-8").startswith(f"# {TITLE}")
    except (OSError, UnicodeDecodeError):
        is_own = False
    if not is_own:
        raise ConfigError(f"--markdown: {path} exists and is no comparison, expected another name")


def _all_comparisons(
    pairs: "Mapping[str, tuple[str, PredictedFile, PredictedFile]]", flags: argparse.Namespace
) -> "list[TaskComparison]":
    """The comparisons of all tasks on the files that ``pairs`` names."""
    from machamp_lite.inference.comparison import compare_files

    comparisons = [
        comparison
        for dataset, *files in pairs.values()
        for comparison in compare_files(*files, dataset=dataset, resamples=flags.resamples)
    ]
    if not any(comparison.metrics for comparison in comparisons):
        raise ConfigError(
            f"{flags.first}, {flags.second}: found no task that both have predicted for {', '.join(pairs)}, with gold "
            "labels and one label per item; expected one"
        )
    return comparisons


def _predicted_test(flags: argparse.Namespace) -> "dict[str, tuple[str, PredictedFile, PredictedFile]]":
    """Predicts the test file with both models; the keys are files, with the dataset of the first model."""
    from machamp_lite.acceleration import load_accelerated
    from machamp_lite.inference.dataset_matching import matching_dataset
    from machamp_lite.inference.predicted_sentences import predict_sentences

    device, datasets, files = choose_device(flags.device), [], []
    for run in (flags.first, flags.second):
        model = load_accelerated(run, device=device)
        dataset = matching_dataset(model.config, flags.dataset, flags.test, vocabularies=model.vocabularies)
        datasets.append(dataset)
        files.append(predict_sentences(model, dataset, flags.test))
    return {flags.test: (datasets[0], files[0], files[1])}


def _kept_dev(flags: argparse.Namespace) -> "dict[str, tuple[str, PredictedFile, PredictedFile]]":
    """Reads the dev predictions of the datasets that both runs have."""
    from machamp_lite.training.kept_predictions import read_dev_predictions

    return read_dev_predictions(Path(flags.first), Path(flags.second))
