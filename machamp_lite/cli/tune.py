"""The command that searches for good hyperparameters."""

import argparse
import contextlib
import copy
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machamp_lite import progress
from machamp_lite.acceleration.allocator import keep_freed_memory, limit_onednn_primitives
from machamp_lite.cli.arguments import LARGEST_NUMBER, add_verbosity
from machamp_lite.cli.console import shows_bars
from machamp_lite.cli.device import HELP as DEVICE_HELP
from machamp_lite.cli.device import choose_device, parse_device
from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.parser import Parser
from machamp_lite.cli.process import interrupts, stop_with_parent
from machamp_lite.cli.single_run import stoppable, train_one
from machamp_lite.errors import ConfigError, StoppedError, TrainingError, check_empty_names, one_line

if TYPE_CHECKING:
    from machamp_lite.config import Config
    from machamp_lite.tuning.search import Search
    from machamp_lite.tuning.trial_run import TrialCallback

TO_RESUME = "repeat the command"


def tune(arguments: Sequence[str] | None = None, *, prog: str = "tune") -> int:
    """The tune command; returns its exit code."""
    return run_command(lambda: _tune(list(sys.argv[1:] if arguments is None else arguments), prog))


def work(arguments: Sequence[str]) -> int:
    """One of several processes that the command has started, with its arguments; prints no results."""

    def run() -> int:
        stop_with_parent()
        _work(_flags(arguments, "tune"), is_alone=False)
        return 0

    return run_command(run)


def tune_parser(prog: str) -> Parser:
    """The arguments of the tune command."""
    parser = Parser(
        prog=prog,
        description="Searches for good hyperparameters: trains trials with different values, and compares them on the "
        "dev data. Repeating the command resumes it; starting it again in another terminal joins the search.",
        removed={},
        examples=[
            "configs/intents.json --space configs/spaces/intents.json --trials 20 --dir runs/tuning",
            "configs/intents.json --space configs/spaces/intents.json --trials 40 --metric intent.accuracy --workers 2",
        ],
    )
    add = parser.add_argument
    add("dataset_configs", nargs="+", metavar="CONFIG", help="one or more dataset configs (jsonnet)")
    add("--space", required=True, metavar="FILE", help='the searched keys (jsonnet): {"KEY": {"low": 0.0001, "high": '
        '0.01, "log": true}, "KEY": {"choices": [...]}, ...}; keys as for --set')  # fmt: skip
    add("--trials", type=int, required=True, metavar="N", help="how many trials there are in all, with the default")
    add("--dir", default="runs/tuning", metavar="DIR", help="the folder of the search (default: runs/tuning)")
    add("--metric", metavar="TASK.METRIC", help="what to maximise (default: the sum of main metrics)")
    add("--parameters_config", "--params", metavar="FILE", help="as for train")
    add("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="as for train; of all trials")
    add("--seed", type=int, help="the random seed of the search (default: random_seed of params)")
    add("--workers", type=int, default=1, metavar="N", help="processes on this machine, which share its CPU cores")
    add("--keep", type=int, default=1, metavar="K", help="keep the models of the best K trials (default: 1)")
    add("--no_pruning", action="store_true", help="train all trials to their end")
    add("--storage", metavar="URL", help="Optuna's database, such as sqlite:///tuning.db (default: a file in DIR)")
    add("--device", type=parse_device, metavar="DEVICE", help=DEVICE_HELP)
    add("--data_cache", default="auto", metavar="auto|off|DIR", help="as for train")
    add_verbosity(parser)
    return parser


def _flags(arguments: Sequence[str], prog: str) -> argparse.Namespace:
    flags = tune_parser(prog).read(arguments)
    check_empty_names({f"--{name}": getattr(flags, name) for name in ("dir", "space", "storage", "data_cache")})
    limits = {"trials": (1, LARGEST_NUMBER), "workers": (1, 1024), "keep": (0, LARGEST_NUMBER), "seed": (0, 2**32 - 1)}
    faults = [
        f"--{name}: found {value}, expected a number from {low} to {high}"
        for name, (low, high) in limits.items()
        if (value := getattr(flags, name)) is not None and not low <= value <= high
    ]
    if os.environ.get("WORLD_SIZE"):
        faults.append(f"{prog}: torchrun trains one run with several processes; expected --workers N without torchrun")
    if faults:
        raise ConfigError(faults)
    return flags


def _tune(arguments: Sequence[str], prog: str) -> int:
    flags = _flags(arguments, prog)
    set_up_logging(flags.log_level)
    with stoppable(lambda: TO_RESUME):
        search = _work(flags, is_alone=True) if flags.workers == 1 else _start_workers(arguments, flags)
    _print_results(search, flags, prog)
    return 0


def _work(flags: argparse.Namespace, *, is_alone: bool) -> "Search":
    """Works on trials until none is left for this process."""
    limit_onednn_primitives(4096)
    set_up_logging(flags.log_level)
    search = _load_search(flags)
    device = choose_device(flags.device)
    if device == "cpu":
        keep_freed_memory()
    search.start()
    # Several processes show only one line per trial.
    quieter = copy.copy(flags)
    quieter.log_level = flags.log_level if is_alone else max(flags.log_level, logging.WARNING)

    def train_trial(
        config: "Config", folder: Path, *, overwrite: bool, resume: bool, callback: "TrialCallback"
    ) -> None:
        options: dict[str, Any] = {"callbacks": [callback], "stopping": _stopping(callback)}
        try:
            with progress.shown(is_alone and shows_bars(flags.log_level)):
                train_one(config, folder, quieter, device=device, overwrite=overwrite, resume=resume, **options)
        finally:
            set_up_logging(flags.log_level)

    search.run(train_trial)
    return search


@contextlib.contextmanager
def _stopping(callback: "TrialCallback") -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether to stop: after a signal, or if the trial is pruned."""
    with interrupts() as was_interrupted:
        try:
            yield lambda: was_interrupted() or callback.is_pruned
        finally:
            # After both, the trial is resumed with the search, and pruned then.
            callback.is_pruned = callback.is_pruned and not was_interrupted()


def _load_search(flags: argparse.Namespace) -> "Search":
    """Checks the config, the space and the packages, before torch is imported, which takes seconds."""
    from machamp_lite.config.loading import load_config, log_warnings
    from machamp_lite.config.search_space import load_space

    def load(overrides: Sequence[str]) -> "Config":
        options = {"parameters_config": flags.parameters_config, "overrides": [*flags.overrides, *overrides]}
        return load_config(flags.dataset_configs, warns=False, **options)

    base = load(())
    log_warnings(base.warnings)
    space = load_space(flags.space, load)
    from machamp_lite.tuning import check_packages
    from machamp_lite.tuning.objective import Objective

    objective = Objective.parse(flags.metric, base)
    check_packages()
    from machamp_lite.tuning.search import Search

    return Search(
        folder=Path(flags.dir),
        load=load,
        base=base,
        space=space,
        objective=objective,
        seed=base.params.random_seed if flags.seed is None else flags.seed,
        num_trials=flags.trials,
        keep=flags.keep,
        prunes=not flags.no_pruning,
        storage=flags.storage,
        has_dataset_keys=_names_dataset([*space.document, *flags.overrides], base),
    )


def _names_dataset(keys: Sequence[str], config: "Config") -> bool:
    return any(key.startswith(f"{name}.") for key in keys for name in config.datasets)


def _start_workers(arguments: Sequence[str], flags: argparse.Namespace) -> "Search":
    """Starts the processes, each with its share of the CPU cores, and waits for all of them."""
    search = _load_search(flags)
    search.start()
    program = "import sys; from machamp_lite.cli.tune import work; sys.exit(work(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, _num_threads() // flags.workers))}
    workers: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(flags.workers):
            workers.append(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE))
        codes = [worker.wait() for worker in workers]
    except BaseException:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.wait()
        raise
    if any(codes):
        # Each has printed its own error.
        if 130 in codes:
            raise StoppedError("a process of the search was stopped")
        failed = max(codes, key=abs)
        raise TrainingError(f"a process of the search has ended with exit code {failed}")
    return search


def _num_threads() -> int:
    """The number of threads that one process would use."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal():
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _print_results(search: "Search", flags: argparse.Namespace, prog: str) -> None:
    from machamp_lite.cli.text_blocks import as_terminal_text
    from machamp_lite.cli.tuning_text import blocks
    from machamp_lite.files.run_files import MODEL, REPORT
    from machamp_lite.tuning.page import write_search_report
    from machamp_lite.tuning.search import CONFIG, PARAMS
    from machamp_lite.tuning.trials import ranking

    search.settle()
    write_search_report(search)
    if flags.log_level <= logging.INFO:
        print(as_terminal_text(blocks(search), sys.stdout))
    best = ranking(search.study.trials())
    if not best:
        raise TrainingError("tune: no trial is complete; see the lines above, and expected other values in --space")
    program = prog.removesuffix(" tune")
    configs = [str(search.folder / CONFIG)] if search.has_dataset_keys else flags.dataset_configs
    train = ["train", "--dataset_configs", *configs, "--parameters_config", str(search.folder / PARAMS)]
    if flags.log_level <= logging.INFO:
        files = {"report": search.folder / REPORT, "best model": search.trial_folder(best[0]) / MODEL}
        for name, path in files.items():
            if path.exists():
                print(f"{name}: {one_line(str(path))}")
        print(f"to train with the best values: {one_line(f'{program} {shlex.join(train)}')}")
    print(f"written: {one_line(str(search.folder / PARAMS))}")
