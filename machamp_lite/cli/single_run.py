"""Trains one run of a command, which also logs to a file in its folder."""

import argparse
import contextlib
import logging
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machamp_lite.cli.logging_setup import WarningsOnce, log_to, set_up_logging
from machamp_lite.cli.process import interrupts
from machamp_lite.cli.score_output import print_and_log, print_scores
from machamp_lite.cli.terminal import Terminal, summary
from machamp_lite.errors import MachampError, StoppedError
from machamp_lite.files.run_files import LOG

if TYPE_CHECKING:
    from machamp_lite.config import Config
    from machamp_lite.inference.evaluation import MetricTracker
    from machamp_lite.training.callbacks import Callback, TrainEnd
    from machamp_lite.training.distributed import Processes

logger = logging.getLogger("machamp_lite")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """The dev scores of a run by dataset, and its last event, which only the main process has."""

    trackers: "Mapping[str, MetricTracker]"
    end: "TrainEnd | None"
    num_warnings: int


def train_one(
    config: "Config",
    folder: Path,
    flags: argparse.Namespace,
    *,
    device: str,
    overwrite: bool,
    resume: bool,
    retrain: str | Path | None = None,
    processes: "Processes | None" = None,
    callbacks: "Sequence[Callback]" = (),
    stopping: AbstractContextManager[Callable[[], bool]] | None = None,
) -> FinishedRun:
    """Trains one run, and prints nothing but logs. Of the flags, ``log_level`` and ``data_cache`` are read.

    ``callbacks`` are further ones. ``stopping`` is a context whose function says whether to stop (default: signals).
    """
    from machamp_lite.training.distributed import SINGLE_PROCESS
    from machamp_lite.training.progress_bar import ProgressBar
    from machamp_lite.training.run import TrainingRun
    from machamp_lite.training.run_folder_lock import lock_run_folder

    processes = processes or SINGLE_PROCESS
    set_up_logging(flags.log_level, silent=not processes.is_main_process)
    terminal, warnings = Terminal(), WarningsOnce()
    options: dict[str, Any] = {"resume": resume, "retrain": retrain, "processes": processes}
    with lock_run_folder(folder, config, overwrite=overwrite, **options):
        if processes.is_main_process:
            warnings = log_to(folder / LOG)
        for line in config.warnings:
            # Already on the terminal.
            logger.warning("%s", line, extra={"is_printed": True})
        logger.info("run folder: %s", folder)
        run = TrainingRun(
            config=config,
            folder=folder,
            device=device,
            data_cache=flags.data_cache,
            callbacks=[terminal, ProgressBar(), *callbacks],
            interrupts=stopping or interrupts(),
            **options,
        )
        trackers = run.train()
    return FinishedRun(trackers, terminal.end, warnings.count())


def train_and_report(
    config: "Config",
    folder: Path,
    flags: argparse.Namespace,
    *,
    device: str,
    retrain: str | Path | None,
    processes: "Processes",
) -> None:
    """Trains one run, and prints its scores and a summary."""
    from machamp_lite.files.run_files import STATE, STATE_FILE

    options: dict[str, Any] = {"overwrite": flags.overwrite, "resume": flags.resume is not None, "retrain": retrain}
    command = resume_command(folder, flags.prog, processes)
    with stoppable(lambda: command if (folder / STATE / STATE_FILE).exists() else None):
        run = train_one(config, folder, flags, device=device, processes=processes, **options)
    if run.end is not None:
        is_quiet = flags.log_level > logging.INFO
        print_scores(run.trackers, is_quiet=is_quiet)
        *lines, model = summary(run.end, prog=flags.prog, num_warnings=run.num_warnings)
        print_and_log("\n".join(["", *lines]), is_quiet=is_quiet)
        print_and_log(model)


def resume_command(folder: Path, prog: str, processes: "Processes") -> str:
    """The command that resumes what was started in a folder."""
    if processes.launcher:
        program = f"{processes.launcher} {prog if prog.endswith('.py') else '-m machamp_lite train'}"
    else:
        program = f"python {prog}" if prog.endswith(".py") else prog
    return f"{program} --resume {shlex.quote(str(folder))}"


@contextlib.contextmanager
def stoppable(to_resume: Callable[[], str | None]) -> Iterator[None]:
    """Logs errors, and adds what resumes a stopped run to the message; None if nothing does."""
    try:
        try:
            yield
        except (KeyboardInterrupt, StoppedError) as error:
            command = to_resume()
            if command is None:
                raise
            raise StoppedError(f"{str(error) or 'stopped at once'}; to resume: {command}") from None
    except MachampError as error:
        level = logging.INFO if isinstance(error, StoppedError) else logging.ERROR
        logger.log(level, "%s", error, extra={"is_printed": True})
        raise
