"""The two commands: flags, logging and exit codes; the only place that prints or exits.

Exit codes: 0, 1 (a run failed), 2 (a fault in a flag, config or data file), 130 (Ctrl-C or SIGTERM).
"""

import argparse
import contextlib
import io
import logging
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machamp_lite.errors import (
    FAULTS_SHOWN,
    ConfigError,
    DataError,
    MachampError,
    StoppedError,
    first_line,
    is_panic,
)
from machamp_lite.flags import train_flags
from machamp_lite.predict_flags import predict_flags

if TYPE_CHECKING:
    from machamp_lite.config import Config
    from machamp_lite.evaluation import ScoreKeeper

# Heavy imports wait inside the functions that need them: --help answers at once.


def train(arguments: Sequence[str] | None = None) -> int:
    """The train command; returns its exit code."""
    return _guarded(lambda: _train(train_flags(arguments)))


def predict(arguments: Sequence[str] | None = None) -> int:
    """The predict command; returns its exit code."""
    return _guarded(lambda: _predict(predict_flags(arguments)))


def _guarded(command: Callable[[], int]) -> int:
    """Turns what goes wrong into lines on stderr and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Labels and names may have what a terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Raises KeyboardInterrupt, also for SIGTERM.
        with _handling_signals(signal.default_int_handler):
            code = command()
            sys.stdout.flush()
        return code
    except (ConfigError, DataError) as error:
        print("\n".join(_shown(error.faults)), file=sys.stderr)
        return 2
    except MachampError as error:
        print("\n".join(error.faults), file=sys.stderr)
        return 130 if isinstance(error, StoppedError) else 1
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"{error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except UnicodeError as error:
        print(f"found a name that is no UTF-8, expected UTF-8 ({first_line(error)})", file=sys.stderr)
        return 2
    except RecursionError:
        print("found a value with too many brackets inside each other, expected fewer", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        print(f"out of memory ({first_line(error)}); a smaller batching -> max_tokens takes less", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BaseException as error:
        if not is_panic(error):
            raise
        print(f"the tokenizer cannot read its input ({first_line(error)})", file=sys.stderr)
        return 2


def _shown(faults: Sequence[str]) -> list[str]:
    """As many lines as a person reads at once."""
    if len(faults) <= FAULTS_SHOWN:
        return list(faults)
    return [*faults[: FAULTS_SHOWN - 1], f"and {len(faults) - FAULTS_SHOWN + 1} lines more"]


@contextlib.contextmanager
def _handling_signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Gives Ctrl-C and SIGTERM to a handler for a while; what is ignored, as under nohup, stays so."""
    numbers = []
    if threading.current_thread() is threading.main_thread():
        numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) not in (signal.SIG_IGN, None)
        ]
    former = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in former.items():
            signal.signal(number, old)


@contextlib.contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Says whether a signal has asked to stop; a Ctrl-C after it stops at once."""
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    with _handling_signals(ask):
        yield lambda: asked
    if asked:
        # Too late for training to heed it.
        raise KeyboardInterrupt


def _train(flags: argparse.Namespace) -> int:
    # From a terminal, logs go to it; the run's own log file comes with its folder.
    _set_up_logging()
    configs = _load_configs(flags)
    from machamp_lite import runs

    if flags.check or flags.sequential:
        lines = runs.check_all(configs, retrain=flags.retrain)
    if flags.check:
        print("\n".join(lines))
        return 0
    device = _device(flags.device)
    folder = Path(
        flags.resume or flags.model_dir or runs.default_run_folder(flags.dataset_configs, flags.name)
    )
    folders = [folder / str(number) for number in range(len(configs))] if flags.sequential else [folder]
    for folder in folders:
        runs.make_run_folder(folder, overwrite=flags.overwrite or flags.resume is not None)
    former = flags.retrain
    for config, folder in zip(configs, folders, strict=True):
        _train_one(config, folder, device=device, resume=flags.resume is not None, retrain=former)
        former = folder
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
    config: "Config", folder: Path, *, device: str, resume: bool, retrain: str | Path | None
) -> None:
    """One run, with its log in its folder."""
    from machamp_lite import runs

    _set_up_logging()
    _log_to(folder / "log.txt")
    logging.getLogger("machamp_lite").info("run folder: %s", folder)
    from machamp_lite.training.run_folder import STATE
    from machamp_lite.training.state import STATE_FILE

    try:
        try:
            keepers = runs.train(
                config, folder, device=device, resume=resume, retrain=retrain, interrupts=_interrupts()
            )
        except (KeyboardInterrupt, StoppedError) as error:
            if not (folder / STATE / STATE_FILE).exists():
                raise
            what = str(error) or "stopped at once"
            command = f"python train.py --resume {shlex.quote(str(folder))}"
            raise StoppedError(f"{what}; to go on: {command}") from None
    except MachampError as error:
        logging.getLogger("machamp_lite").error("%s", error)
        raise
    _show_scores(keepers)
    print(f"model: {folder / 'model'}")


def _predict(flags: argparse.Namespace) -> int:
    _set_up_logging()
    from machamp_lite.evaluation import ScoreKeeper
    from machamp_lite.fitting import fitting_dataset
    from machamp_lite.predictor import check_options, predict_file
    from machamp_lite.training.checkpoint import load_model

    model = load_model(flags.model, device=_device(flags.device))
    model.precision = flags.precision or model.precision
    datasets = [
        fitting_dataset(model.config, flags.dataset, source, raw_text=flags.raw_text)
        for source, _ in flags.pairs
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
    for (source, target), dataset in zip(flags.pairs, datasets, strict=True):
        keeper = ScoreKeeper(model.config.datasets[dataset].tasks)
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
            keeper=keeper,
        )
        _show_scores({dataset: keeper})
        print(f"written: {target}")
    return 0


def _show_scores(keepers: Mapping[str, "ScoreKeeper"]) -> None:
    """Prints the scores of tasks and of their labels, if there are any; in colour only on a terminal."""
    from machamp_lite import report

    scores = {dataset: keeper.scores() for dataset, keeper in keepers.items()}
    if any(scores.values()):
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if terminal else None
        print("\n".join(report.label_tables(keepers, width=width, colour=terminal)))
        print()
        print("\n".join(report.score_table(scores)))


def _device(number: int | None) -> str:
    import torch

    if number is None:
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if number == -1:
        return "cpu"
    count = torch.cuda.device_count()
    if not 0 <= number < count:
        raise ConfigError(f"--device: found {number}, but there are {count} GPUs; expected -1 for the CPU")
    return f"cuda:{number}"


def _set_up_logging() -> None:
    handler = logging.StreamHandler()
    # Errors end a run and are told as plain lines; the log is where they are kept.
    handler.addFilter(lambda record: record.levelno < logging.ERROR)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("machamp_lite")
    for old in logger.handlers:
        old.close()
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _log_to(path: Path) -> None:
    # On a full disk, what cannot be saved tells of it; that the log cannot be written is not told on top.
    logging.raiseExceptions = False
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("machamp_lite").addHandler(handler)
