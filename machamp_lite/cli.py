"""The two commands: flags, logging and exit codes; the only place that prints or exits.

Exit codes: 0, 1 (a run failed), 2 (a fault in a flag, config or data file), 130 (Ctrl-C or SIGTERM).
"""

import argparse
import io
import logging
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from machamp_lite.errors import (
    LINES_SHOWN,
    ConfigError,
    DataError,
    MachampError,
    StoppedError,
    first_line,
    is_panic,
    one_line,
)
from machamp_lite.flags import train_flags
from machamp_lite.logs import log_to, set_up_logging
from machamp_lite.predict_flags import predict_flags
from machamp_lite.process import keep_freed_memory, keep_prepared_products
from machamp_lite.signals import handling_signals, interrupts

if TYPE_CHECKING:
    from machamp_lite.config import Config
    from machamp_lite.evaluation import ScoreKeeper
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
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Labels and names may have what a terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Raises KeyboardInterrupt, also for SIGTERM.
        with handling_signals(signal.default_int_handler):
            code = command()
            sys.stdout.flush()
        return code
    except (ConfigError, DataError) as error:
        _tell(_shown(error.faults))
        return 2
    except MachampError as error:
        _tell(error.faults)
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


def _tell(faults: Sequence[str]) -> None:
    """The lines of an error; those of one that another process tells are none."""
    if faults:
        print("\n".join(faults), file=sys.stderr)


def _shown(faults: Sequence[str]) -> list[str]:
    """As many lines as a person reads at once."""
    if len(faults) <= LINES_SHOWN:
        return list(faults)
    return [*faults[: LINES_SHOWN - 1], f"and {len(faults) - LINES_SHOWN + 1} lines more"]


def _train(flags: argparse.Namespace) -> int:
    keep_prepared_products(4096)
    from machamp_lite.training.distributed import joined

    with joined(on_gpus=flags.device != -1) as processes:
        return _train_together(flags, processes)


def _train_together(flags: argparse.Namespace, processes: "Processes") -> int:
    """The command in one of its processes."""
    # From a terminal, logs go to it; the run's own log file comes with its folder.
    set_up_logging(silent=not processes.is_first)
    configs = processes.together(lambda: _load_configs(flags))
    from machamp_lite import runs

    if flags.check or flags.sequential:
        cache = {"data_cache": flags.data_cache, "writes_cache": processes.is_first}
        lines = processes.together(lambda: runs.check_all(configs, retrain=flags.retrain, **cache))
    if flags.check:
        if processes.is_first:
            # Labels of data files may have control characters, which a terminal would obey.
            print("\n".join(map(one_line, lines)))
        return 0
    device = processes.together(lambda: _device(flags.device, several=processes.count > 1))
    if device == "cpu":
        keep_freed_memory()
    given = flags.resume or flags.model_dir
    if given is None and processes.is_first:
        given = str(runs.default_run_folder(flags.dataset_configs, flags.name))
    folder = Path(processes.told(given))
    folders = [folder / str(number) for number in range(len(configs))] if flags.sequential else [folder]
    overwrite = flags.overwrite or flags.resume is not None
    processes.together(lambda: [runs.make_run_folder(each, overwrite=overwrite) for each in folders])
    former = flags.retrain
    for config, folder in zip(configs, folders, strict=True):
        _train_one(
            config,
            folder,
            device=device,
            resume=flags.resume is not None,
            retrain=former,
            data_cache=flags.data_cache,
            processes=processes,
        )
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
    config: "Config",
    folder: Path,
    *,
    device: str,
    resume: bool,
    retrain: str | Path | None,
    data_cache: str,
    processes: "Processes",
) -> None:
    """One run, with its log in its folder."""
    from machamp_lite import runs

    set_up_logging(silent=not processes.is_first)
    if processes.is_first:
        log_to(folder / "log.txt")
    logging.getLogger("machamp_lite").info("run folder: %s", folder)
    from machamp_lite.training.run_folder import STATE
    from machamp_lite.training.state import STATE_FILE

    try:
        try:
            keepers = runs.train(
                config,
                folder,
                device=device,
                resume=resume,
                retrain=retrain,
                data_cache=data_cache,
                interrupts=interrupts(),
                processes=processes,
            )
        except (KeyboardInterrupt, StoppedError) as error:
            if not (folder / STATE / STATE_FILE).exists():
                raise
            what = str(error) or "stopped at once"
            command = f"{processes.launcher} train.py --resume {shlex.quote(str(folder))}"
            raise StoppedError(f"{what}; to go on: {command}") from None
    except MachampError as error:
        logging.getLogger("machamp_lite").error("%s", error)
        raise
    if processes.is_first:
        _show_scores(keepers)
        print(f"model: {folder / 'model'}")


def _predict(flags: argparse.Namespace) -> int:
    # Few of their shapes come again.
    keep_prepared_products(64)
    set_up_logging()
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


def _device(number: int | None, *, several: bool = False) -> str:
    """The device of this process; one of ``several`` has a GPU of its own."""
    import torch

    if several and number is not None and number != -1:
        raise ConfigError(
            f"--device: found {number}, but torchrun gives each process a GPU of its own; expected -1, or no such flag"
        )
    if several and number is None and torch.cuda.is_available():
        from machamp_lite.training.distributed import take_gpu

        return f"cuda:{take_gpu()}"
    if number is None:
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if number == -1:
        return "cpu"
    count = torch.cuda.device_count()
    if not 0 <= number < count:
        raise ConfigError(f"--device: found {number}, but there are {count} GPUs; expected -1 for the CPU")
    torch.cuda.set_device(number)
    return f"cuda:{number}"
