"""Trains one config several times, with several seeds or folds of the data, and summarizes the scores."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.single_run import resume_command, stoppable, train_one
from machamp_lite.cli.text_blocks import Table, as_terminal_text
from machamp_lite.errors import ConfigError
from machamp_lite.files.run_files import FOLDS, SUMMARY

if TYPE_CHECKING:
    from machamp_lite.config import Config
    from machamp_lite.training.distributed import Processes
    from machamp_lite.training.run_group import RunGroup
    from machamp_lite.training.run_summary import MetricSummary


def train_several(
    config: "Config", folder: Path, flags: argparse.Namespace, *, device: str, processes: "Processes"
) -> int:
    """Trains the runs of a group that are not finished, and prints a table of all; returns the exit code."""
    group = processes.run_on_all_ranks(lambda: _start(config, folder, flags, is_main=processes.is_main_process))

    def train_run(config: "Config", folder: Path, resume: bool) -> None:
        options: dict[str, Any] = {"overwrite": not resume, "resume": resume, "retrain": flags.retrain}
        train_one(config, folder, flags, device=device, processes=processes, **options)

    with stoppable(lambda: resume_command(folder, flags.prog, processes)):
        group.train(train_run, processes=processes)
        set_up_logging(flags.log_level, silent=not processes.is_main_process)
        if processes.is_main_process:
            _finish(group, config, flags, device=device)
        processes.barrier()
    return 0


def _start(config: "Config", folder: Path, flags: argparse.Namespace, *, is_main: bool) -> "RunGroup":
    """Checks the group and, in the main process, marks its folder and writes the training data of folds."""
    from machamp_lite.training.cross_validation import fold_configs, make_folds, write_folds
    from machamp_lite.training.run_group import RunGroup, with_seed

    if flags.folds:
        kind, options = "--folds", {"folds": flags.folds, "fold_by": flags.fold_by}
        configs = fold_configs(config, folder, flags.folds)
        inputs = [folder / FOLDS, *(Path(str(dataset.train_data_path)) for dataset in config.datasets.values())]
    else:
        kind, options, inputs = "--seeds", {"seeds": flags.seeds}, []
        configs = {str(seed): with_seed(config, seed) for seed in flags.seeds}
    group = RunGroup(
        folder=folder, configs=configs, marker=SUMMARY, command=f"train {kind}", inputs=inputs, base=config
    )
    before = group.check()
    if before and any(before.get(name) != getattr(flags, name) for name in ("folds", "fold_by")):
        raise ConfigError(f"{kind}: {folder} was started with other folds; expected another --model_dir")
    folds = make_folds(config, folder, flags.folds, by=flags.fold_by) if flags.folds else {}
    if is_main:
        group.start(**options, retrain=flags.retrain)
        if flags.folds:
            write_folds(config, folder, flags.folds, folds)
            # Again, with the checksums of what was written.
            group.start()
    return group


def _finish(group: "RunGroup", config: "Config", flags: argparse.Namespace, *, device: str) -> None:
    """Writes the scores of all runs, and prints them."""
    from machamp_lite.training.cross_validation import make_folds, predict_folds
    from machamp_lite.training.run_summary import as_json, dev_scores, summarize

    if flags.folds:
        folds = make_folds(config, group.folder, flags.folds, by=flags.fold_by)
        summaries = summarize(*predict_folds(group, config, folds, device=device))
    else:
        summaries = summarize({name: dev_scores(group.folder / name) for name in group.configs})
    group.write(runs=list(group.configs), scores=as_json(summaries))
    if flags.log_level <= logging.INFO and summaries:
        _print_table(summaries)
    print(f"written: {group.folder / SUMMARY}")


def _print_table(summaries: "Sequence[MetricSummary]") -> None:
    from machamp_lite.metrics import METRICS

    has_overall = any(one.overall is not None for one in summaries)
    header = ["dataset", "task", "metric", *(["all folds"] if has_overall else []), "mean", "deviation", "best", "run"]
    rows = []
    for one in summaries:
        numbers = [one.mean, one.deviation, one.values[one.best_run]]
        numbers = [one.overall, *numbers] if has_overall else numbers
        shown = ["" if number is None else METRICS[one.metric].as_text(number) for number in numbers]
        rows.append([one.dataset, one.task, one.metric, *shown, one.best_run])
    print(as_terminal_text([Table(header, rows, names=3)], sys.stdout))
