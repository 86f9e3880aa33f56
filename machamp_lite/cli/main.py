"""The two commands: flags, logging and exit codes; the only place that prints or exits.

Exit codes: 0, 1 (a run failed), 2 (a fault in a flag, config or data file), 130 (Ctrl-C, SIGTERM or SIGHUP).
"""

import argparse
import contextlib
import io
import logging
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from machamp_lite.acceleration.allocator import keep_freed_memory, limit_onednn_primitives
from machamp_lite.cli.arguments import train_flags
from machamp_lite.cli.logging_setup import log_to, set_up_logging
from machamp_lite.cli.predict_arguments import predict_flags
from machamp_lite.cli.signals import handling_signals, interrupts
from machamp_lite.errors import (
    LINES_SHOWN,
    ConfigError,
    DataError,
    MachampError,
    StoppedError,
    first_line,
    is_out_of_memory,
    is_panic,
    one_line,
)
from machamp_lite.files.paths import check_pairs
from machamp_lite.files.streams import (
    DISK_FAULTS,
    check_working_folder,
    discard_output,
    is_standard,
    is_stream,
    open_closed_streams,
    readable,
)

if TYPE_CHECKING:
    from machamp_lite.config import Config
    from machamp_lite.inference.evaluation import MetricTracker
    from machamp_lite.training.distributed import Processes

# Heavy imports wait inside the functions that need them: --help answers at once.


def train(arguments: Sequence[str] | None = None) -> int:
    """The train command; returns its exit code."""
    return _guarded(lambda: _train(train_flags(arguments)))


def predict(arguments: Sequence[str] | None = None) -> int:
    """The predict command; returns its exit code."""
    return _guarded(lambda: _predict(predict_flags(arguments)))


def _guarded(command: Callable[[], int]) -> int:
    """Turns what goes wrong into lines on stderr and an exit code."""
    open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Labels and names may have what a terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        check_working_folder()
        # Raises KeyboardInterrupt, also for SIGTERM and SIGHUP.
        with handling_signals(signal.default_int_handler):
            code = command()
            if sys.stdout is not None:
                sys.stdout.flush()
        return code
    except SystemExit:
        raise
    except BaseException as error:
        return _report(error)


def _report(error: BaseException) -> int:
    """Prints an error on stderr, and returns the exit code."""
    if isinstance(error, ConfigError | DataError):
        _tell(_shown(error.faults))
        return 2
    if isinstance(error, MachampError):
        _tell(error.faults)
        return 130 if isinstance(error, StoppedError) else 1
    if isinstance(error, KeyboardInterrupt):
        _tell(["stopped"])
        return 130
    if isinstance(error, BrokenPipeError):
        # The reader of the output has ended (head): the rest is discarded.
        discard_output()
        return 1
    if isinstance(error, OSError) and (error.filename is not None or error.errno in DISK_FAULTS):
        if error.filename is None:
            # Standard output itself.
            discard_output()
        name = one_line(str(error.filename or "output"))
        _tell([f"{name}: {error.strerror or error}"])
        return 1
    if is_out_of_memory(error):
        _tell(
            [
                f"out of memory ({first_line(error)}); a smaller batching.max_tokens takes less, "
                "in prediction a smaller --batch_size"
            ]
        )
        return 1
    if is_panic(error):
        _tell([f"the tokenizer cannot read its input ({first_line(error)})"])
        return 2
    return _report_bug(error)


def _report_bug(error: BaseException) -> int:
    """Prints a traceback, which is also written to the log of a run."""
    logger = logging.getLogger("machamp_lite")
    logger.error("a bug in machamp_lite", exc_info=error)
    files = [handler.baseFilename for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
    where = "".join(f", and in {file}" for file in files)
    # Messages of errors may hold what data files hold.
    lines = [one_line(line) for line in "".join(traceback.format_exception(error)).splitlines()]
    _tell(
        [
            *lines,
            f"this is a bug in machamp_lite, not in your files: please report it; the traceback is above{where}",
        ]
    )
    return 1


def _tell(lines: Sequence[str]) -> None:
    """Prints lines on stderr; an error that another process reports has none."""
    # Nobody may read them any more, as after SIGHUP.
    with contextlib.suppress(OSError, ValueError):
        if lines:
            print("\n".join(lines), file=sys.stderr, flush=True)


def _shown(faults: Sequence[str]) -> list[str]:
    """As many lines as a person reads at once."""
    if len(faults) <= LINES_SHOWN:
        return list(faults)
    return [*faults[: LINES_SHOWN - 1], f"and {len(faults) - LINES_SHOWN + 1} lines more"]


def _train(flags: argparse.Namespace) -> int:
    limit_onednn_primitives(4096)
    from machamp_lite.training.distributed import joined

    with joined(on_gpus=flags.device != -1) as processes:
        return _train_together(flags, processes)


def _train_together(flags: argparse.Namespace, processes: "Processes") -> int:
    """The command in one of its processes."""
    # From a terminal, logs go to it; the run's own log file comes with its folder.
    set_up_logging(silent=not processes.is_main_process)
    configs = processes.together(lambda: _load_configs(flags))
    from machamp_lite.training import run as runs

    if flags.check or flags.sequential:
        cache = {"data_cache": flags.data_cache, "writes_cache": processes.is_main_process}
        lines = processes.together(lambda: runs.check_all(configs, retrain=flags.retrain, **cache))
    if flags.check:
        if processes.is_main_process:
            # Labels of data files may have control characters, which a terminal would obey.
            print("\n".join(map(one_line, lines)))
        return 0
    device = processes.together(lambda: _device(flags.device, several=processes.count > 1))
    if device == "cpu":
        keep_freed_memory()
    given = flags.resume or flags.model_dir
    if given is None and processes.is_main_process:
        given = str(runs.default_run_folder(flags.dataset_configs, flags.name))
    folder = Path(processes.told(given))
    folders = [folder / str(number) for number in range(len(configs))] if flags.sequential else [folder]
    if flags.resume is None:
        options = {"overwrite": flags.overwrite, "retrain": flags.retrain}
        processes.together(lambda: runs.check_folders(folders, configs, **options))
    init_model = flags.retrain
    for config, folder in zip(configs, folders, strict=True):
        _train_one(
            config,
            folder,
            device=device,
            overwrite=flags.overwrite,
            resume=flags.resume is not None,
            retrain=init_model,
            data_cache=flags.data_cache,
            processes=processes,
        )
        init_model = folder
    return 0


def _load_configs(flags: argparse.Namespace) -> "list[Config]":
    """The config of the run, or one for each file."""
    from machamp_lite.config import load_config
    from machamp_lite.config.sequence import load_sequence

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
        raise ConfigError("--retrain: found reset_transformer_model true, expected false beside this flag")
    return configs


def _train_one(
    config: "Config",
    folder: Path,
    *,
    device: str,
    overwrite: bool,
    resume: bool,
    retrain: str | Path | None,
    data_cache: str,
    processes: "Processes",
) -> None:
    """One run, with its log in its folder."""
    from machamp_lite.training import run as runs

    own: dict[str, Any] = {"resume": resume, "retrain": retrain, "processes": processes}
    set_up_logging(silent=not processes.is_main_process)
    with runs.taking(folder, config, overwrite=overwrite, **own):
        trackers = _train_in(folder, config, device=device, data_cache=data_cache, **own)
    if processes.is_main_process:
        _show_scores(trackers)
        print(f"model: {folder / 'model'}")


def _train_in(
    folder: Path, config: "Config", *, processes: "Processes", **options: Any
) -> "dict[str, MetricTracker]":
    """One run in a folder that is checked and locked."""
    from machamp_lite.training import run as runs

    if processes.is_main_process:
        log_to(folder / "log.txt")
    logging.getLogger("machamp_lite").info("run folder: %s", folder)
    from machamp_lite.training.checkpoint import STATE_FILE
    from machamp_lite.training.run_folder import STATE

    try:
        try:
            return runs.train_in(folder, config, interrupts=interrupts(), processes=processes, **options)
        except (KeyboardInterrupt, StoppedError) as error:
            if not (folder / STATE / STATE_FILE).exists():
                raise
            what = str(error) or "stopped at once"
            command = f"{processes.launcher} train.py --resume {shlex.quote(str(folder))}"
            raise StoppedError(f"{what}; to resume: {command}") from None
    except MachampError as error:
        logging.getLogger("machamp_lite").error("%s", error)
        raise


def _predict(flags: argparse.Namespace) -> int:
    # Few of their shapes come again.
    limit_onednn_primitives(64)
    set_up_logging()
    from machamp_lite.inference.dataset_matching import fitting_dataset
    from machamp_lite.inference.evaluation import MetricTracker
    from machamp_lite.inference.predictor import check_options, predict_file
    from machamp_lite.model.serialization import load_model

    model = load_model(flags.model, device=_device(flags.device))
    model.precision = flags.precision or model.precision
    for task in model.config.switched_off():
        logging.getLogger("machamp_lite").info(
            "task '%s' is switched off (loss_weight 0): not predicted", task
        )
    check_pairs(flags.pairs, model_folder=model.folder)
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(readable(source)) for source, _ in flags.pairs]
        datasets = [
            fitting_dataset(model.config, flags.dataset, source, raw_text=flags.raw_text)
            for source in sources
        ]
        # Before anything is written.
        for dataset in datasets:
            check_options(
                model,
                dataset,
                raw_text=flags.raw_text,
                pre_tokenized=flags.pre_tokenized,
                threshold=flags.threshold,
            )
        targets = [target for _, target in flags.pairs]
        # Standard output may be one of the outputs, into which nothing else is printed.
        streams = [target for target in targets if is_standard(target) or is_stream(target)]
        file = sys.stderr if streams else sys.stdout
        unprinted: OSError | None = None
        for source, target, dataset in zip(sources, targets, datasets, strict=True):
            tracker = MetricTracker(model.config.datasets[dataset].tasks)
            predict_file(
                model,
                source,
                target,
                dataset=dataset,
                raw_text=flags.raw_text,
                pre_tokenized=flags.pre_tokenized,
                batch_size=flags.batch_size,
                max_sents=flags.max_sents,
                threshold=flags.threshold,
                top_n=flags.topn,
                conn=flags.conn,
                sep=flags.sep,
                tracker=tracker,
            )
            try:
                _show_scores({dataset: tracker}, file=file)
                print(f"written: {one_line(str(target))}", file=file, flush=True)
            except OSError as error:
                # Only standard output has failed: the remaining files are still predicted.
                unprinted = unprinted or error
                discard_output()
    if unprinted is not None:
        raise unprinted
    return 0


def _show_scores(trackers: Mapping[str, "MetricTracker"], *, file: TextIO | None = None) -> None:
    """Prints the scores of tasks and of their labels, if there are any; in colour only on a terminal."""
    from machamp_lite.cli import tables as report

    file = file or sys.stdout
    scores = {dataset: tracker.scores() for dataset, tracker in trackers.items()}
    if file is not None and any(scores.values()):
        terminal = file.isatty()
        width = shutil.get_terminal_size().columns if terminal else None
        print("\n".join(report.label_tables(trackers, width=width, colour=terminal)), file=file)
        print(file=file)
        counts = {dataset: tracker.counts() for dataset, tracker in trackers.items()}
        print("\n".join(report.score_table(scores, counts)), file=file)


def _device(number: int | None, *, several: bool = False) -> str:
    """The device of this process; one of ``several`` has a GPU of its own."""
    import torch

    if several and number is not None and number != -1:
        raise ConfigError(
            f"--device: found {number}, but torchrun gives each process a GPU of its own; expected -1, or no such flag"
        )
    if several and number is None and torch.cuda.is_available():
        from machamp_lite.training.distributed import set_local_device

        return f"cuda:{set_local_device()}"
    if number is None:
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if number == -1:
        return "cpu"
    count = torch.cuda.device_count()
    if not 0 <= number < count:
        raise ConfigError(f"--device: found {number}, but there are {count} GPUs; expected -1 for the CPU")
    torch.cuda.set_device(number)
    return f"cuda:{number}"
