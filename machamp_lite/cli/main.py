"""The train and predict commands.

Modules that import torch are imported inside functions, so that --help and errors in flags are fast.
"""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machamp_lite import progress
from machamp_lite.acceleration.allocator import keep_freed_memory, limit_onednn_primitives
from machamp_lite.acceleration.garbage_collection import garbage_collection_paused
from machamp_lite.cli.arguments import evaluate_flags, predict_flags
from machamp_lite.cli.console import shows_bars
from machamp_lite.cli.device import choose_device
from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.output_formats import write_predictions
from machamp_lite.cli.process import discard_output
from machamp_lite.cli.score_files import score_files
from machamp_lite.cli.score_output import print_scores
from machamp_lite.cli.several_runs import train_several
from machamp_lite.cli.single_run import train_and_report
from machamp_lite.cli.train_arguments import check_flags, train_flags
from machamp_lite.errors import ConfigError, DataError, one_line, shorten
from machamp_lite.files.streams import AnyPath, is_standard, is_stream, readable

if TYPE_CHECKING:
    from machamp_lite.config import Config
    from machamp_lite.model.multitask_model import Model
    from machamp_lite.training.distributed import Processes

logger = logging.getLogger("machamp_lite")


def train(arguments: Sequence[str] | None = None, *, prog: str = "train.py") -> int:
    """The train command; returns its exit code."""
    return run_command(lambda: _train(train_flags(arguments, prog=prog)))


def check(arguments: Sequence[str] | None = None, *, prog: str = "check") -> int:
    """The check command; returns its exit code."""
    return run_command(lambda: _train(check_flags(arguments, prog=prog)))


def evaluate(arguments: Sequence[str] | None = None, *, prog: str = "evaluate") -> int:
    """The evaluate command; returns its exit code."""
    return run_command(lambda: _evaluate(evaluate_flags(arguments, prog=prog)))


def predict(arguments: Sequence[str] | None = None, *, prog: str = "predict.py") -> int:
    """The predict command; returns its exit code."""
    return run_command(lambda: _predict(predict_flags(arguments, prog=prog)))


def _evaluate(flags: argparse.Namespace) -> int:
    return _predict(flags) if flags.dataset_configs is None else score_files(flags)


def _train(flags: argparse.Namespace) -> int:
    limit_onednn_primitives(4096)
    set_up_logging(flags.log_level)
    # Before torch is imported, which takes seconds, unless several processes have to report errors together.
    configs = None if os.environ.get("WORLD_SIZE") else _load_configs(flags)
    from machamp_lite.training.distributed import process_group

    with (
        process_group(on_gpus=flags.device not in ("cpu", "mps")) as processes,
        progress.shown(processes.is_main_process and shows_bars(flags.log_level)),
    ):
        return _train_in_process(flags, configs, processes)


def _train_in_process(
    flags: argparse.Namespace, configs: "list[Config] | None", processes: "Processes"
) -> int:
    """The train command in one of its processes."""
    # To the terminal; each run also logs to a file in its folder.
    set_up_logging(flags.log_level, silent=not processes.is_main_process)
    if configs is None:
        configs = processes.run_on_all_ranks(lambda: _load_configs(flags))
    from machamp_lite.training.check import check_all
    from machamp_lite.training.run_folder import default_run_folder
    from machamp_lite.training.run_folder_checks import check_run_folders

    device = processes.run_on_all_ranks(lambda: choose_device(flags.device, several=processes.world_size > 1))
    if flags.check or flags.sequential or (flags.folds and flags.resume is None):
        cache = {"data_cache": flags.data_cache, "writes_cache": processes.is_main_process}
        lines = processes.run_on_all_ranks(lambda: check_all(configs, retrain=flags.retrain, **cache))
    if flags.check:
        if processes.is_main_process:
            print("\n".join(map(one_line, lines)))
        return 0
    if device == "cpu":
        keep_freed_memory()
    given = flags.resume or flags.model_dir
    if given is None and processes.is_main_process:
        given = str(default_run_folder(flags.dataset_configs, flags.name))
    folder = Path(processes.broadcast_object(given))
    if flags.seeds or flags.folds:
        return train_several(configs[0], folder, flags, device=device, processes=processes)
    folders = [folder / str(number) for number in range(len(configs))] if flags.sequential else [folder]
    if flags.resume is None:
        options = {"overwrite": flags.overwrite, "retrain": flags.retrain}
        processes.run_on_all_ranks(lambda: check_run_folders(folders, configs, **options))
    init_model = flags.retrain
    for config, folder in zip(configs, folders, strict=True):
        train_and_report(config, folder, flags, device=device, retrain=init_model, processes=processes)
        init_model = folder
    return 0


def _load_configs(flags: argparse.Namespace) -> "list[Config]":
    """The config of the run; with --sequential, one config per file."""
    from machamp_lite.config.loading import load_config, load_sequence
    from machamp_lite.model.model_folder import find_model_folder

    options = {
        "parameters_config": flags.parameters_config,
        "overrides": flags.overrides,
        "seed": flags.seed,
    }
    if flags.sequential:
        configs = load_sequence(flags.dataset_configs, **options)
    else:
        configs = [load_config(flags.dataset_configs, **options)]
    if flags.retrain and configs[0].params.reset_transformer_model:
        raise ConfigError("--retrain: found reset_transformer_model true, expected false with this flag")
    if flags.retrain:
        find_model_folder(flags.retrain)
    return configs


def _predict(flags: argparse.Namespace) -> int:
    # Few shapes of batches occur more than once in prediction.
    limit_onednn_primitives(64)
    set_up_logging(flags.log_level)
    from machamp_lite.model.find_models import find_models

    # Before torch is imported.
    found = find_models(flags.model)
    with garbage_collection_paused():
        from machamp_lite.inference.dataset_matching import matching_datasets
        from machamp_lite.inference.decisions import Decision, decision_lines
        from machamp_lite.inference.ensembles import load_found
        from machamp_lite.inference.file_pairs import check_pairs
        from machamp_lite.inference.predictor import check_options
        from machamp_lite.model.precision import resolved

        model = load_found(found, device=choose_device(flags.device))
    model.precision = flags.precision or model.precision
    precision = resolved(model.precision, model.device)
    logger.debug("%s: %s, on %s in %s", model.folder, ", ".join(model.tasks), model.device, precision)
    for task in model.config.switched_off():
        logger.info("task '%s' is switched off (loss_weight 0): not predicted", task)
    check_pairs(flags.pairs, model_folder=model.folder)
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(readable(source)) for source, _ in flags.pairs]
        datasets = matching_datasets(
            model.config, flags.dataset, sources, vocabularies=model.vocabularies, raw_text=flags.raw_text
        )
        options: dict[str, Any] = {name: getattr(flags, name) for name in ("raw_text", "pre_tokenized", "confidence")}
        tasks = _task_options(model, flags.overrides)
        options["decision"] = Decision(
            threshold=flags.threshold,
            tau=flags.tau,
            min_confidence=flags.min_confidence,
            plain=flags.plain,
            tasks=tasks,
        )
        # All datasets are checked before anything is written.
        for dataset in datasets:
            check_options(model, dataset, **options)
        for line in decision_lines(model, datasets, options["decision"]):
            logger.info("%s", line)
        _check_separators(model, datasets, flags)
        # Predictions on the terminal would be between the bars.
        to_terminal = any(map(is_standard, (target for _, target in flags.pairs))) and sys.stdout.isatty()
        with progress.shown(shows_bars(flags.log_level) and not to_terminal):
            return _predict_files(model, sources, datasets, flags, tasks)


def _task_options(model: "Model", overrides: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The options of tasks that are set for one prediction, as TASK.KEY=VALUE."""
    from machamp_lite.config.overrides import parse_override
    from machamp_lite.inference.decisions import task_options

    given: dict[str, dict[str, Any]] = {}
    for text in overrides:
        try:
            keys, value = parse_override(text, model.config.tasks())
        except ConfigError:
            keys, value = (), None
        if len(keys) != 2:
            raise ConfigError(f"--set {shorten(text)}: expected TASK.KEY=VALUE, for example intent.tau=0.5")
        given.setdefault(keys[0], {})[keys[1]] = value
    return task_options(model, given)


def _check_separators(model: "Model", datasets: Sequence[str], flags: argparse.Namespace) -> None:
    """Raises ``ConfigError`` for the strings between several labels if no task writes several."""
    from machamp_lite.config.joint_datasets import find_dataset
    from machamp_lite.inference.predictor import label_numbers

    several = any(label_numbers(find_dataset(model.config, dataset), flags.topn) for dataset in datasets)
    given = [f"--{name}" for name in ("conn", "sep") if getattr(flags, name) is not None]
    if given and not several:
        raise ConfigError(f"{flag}: has no effect without --topn, expected both" for flag in given)


def _predict_files(
    model: "Model",
    sources: Sequence[AnyPath],
    datasets: Sequence[str],
    flags: argparse.Namespace,
    tasks: Mapping[str, Mapping[str, Any]],
) -> int:
    from machamp_lite.config.joint_datasets import find_dataset
    from machamp_lite.inference.evaluation import MetricTracker
    from machamp_lite.inference.file_pairs import scores_path
    from machamp_lite.inference.predictor import CONNECTION, SEPARATOR, predict_file

    names = ("raw_text", "pre_tokenized", "batch_size", "threshold", "tau", "min_confidence", "plain")
    options: dict[str, Any] = {**{name: getattr(flags, name) for name in names}, "decisions": tasks}
    targets = [target for _, target in flags.pairs]
    # If an output goes to a stream, scores go to stderr: the stream may be standard output.
    to_streams = not flags.only_scores and any(is_standard(target) or is_stream(target) for target in targets)
    file = sys.stderr if to_streams else sys.stdout
    unprinted: OSError | None = None
    for source, target, dataset in zip(sources, targets, datasets, strict=True):
        if flags.output_format is not None:
            write_predictions(model, source, target, dataset=dataset, flags=flags, options=options)
            print(f"written: {one_line(str(target))}", file=file, flush=True)
            continue
        tracker = MetricTracker(find_dataset(model.config, dataset).tasks)
        predict_file(
            model,
            source,
            target,
            dataset=dataset,
            max_sents=flags.max_sents,
            top_n=flags.topn,
            confidence=flags.confidence,
            conn=flags.conn or CONNECTION,
            sep=flags.sep or SEPARATOR,
            tracker=tracker,
            **options,
        )
        if flags.only_scores and not tracker.scores():
            raise DataError(f"{source}: found no gold labels of {dataset}, expected some to compare predictions with")
        try:
            if flags.only_scores and len(sources) > 1:
                print(f"{one_line(str(source))}:", file=file)
            is_quiet = flags.log_level > logging.INFO and not flags.only_scores
            print_scores({dataset: tracker}, file=file, is_quiet=is_quiet)
            if flags.only_scores:
                continue
            print(f"written: {one_line(str(target))}", file=file, flush=True)
            if tracker.counts() and (scores_file := scores_path(target)) is not None:
                print(f"scores: {one_line(scores_file)}", file=file, flush=True)
        except OSError as error:
            # Only standard output has failed: the remaining files are still predicted.
            unprinted = unprinted or error
            discard_output()
    if unprinted is not None:
        raise unprinted
    return 0
