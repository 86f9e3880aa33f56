"""The two commands: flags, logging and exit codes; the only place that prints or exits.

Exit codes: 0, 1 (a run failed), 2 (a fault in a flag, config or data file), 130 (Ctrl-C).
"""

import argparse
import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from machamp_lite.errors import ConfigError, DataError, MachampError
from machamp_lite.flags import Parser, train_flags

if TYPE_CHECKING:
    from machamp_lite.config import Config
    from machamp_lite.evaluation import ScoreKeeper

# Heavy imports wait inside the functions that need them: --help answers at once.

_LATER_PREDICT = {"--topn": 1, "--conn": 1, "--sep": 1, "--threshold": 1, "--max_sents": 1}


def train(arguments: Sequence[str] | None = None) -> int:
    """The train command; returns its exit code."""
    return _guarded(lambda: _train(train_flags(arguments)))


def predict(arguments: Sequence[str] | None = None) -> int:
    """The predict command; returns its exit code."""
    return _guarded(lambda: _predict(_predict_parser().read(arguments)))


def _guarded(command: Callable[[], int]) -> int:
    """Turns what goes wrong into lines on stderr and an exit code."""
    try:
        code = command()
        sys.stdout.flush()
        return code
    except (ConfigError, DataError) as error:
        print("\n".join(error.faults), file=sys.stderr)
        return 2
    except MachampError as error:
        print("\n".join(error.faults), file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"{error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _predict_parser() -> Parser:
    parser = Parser(
        prog="predict.py", allow_abbrev=False, description="Writes the labels of a trained model into files."
    )
    parser.add_argument("model", metavar="MODEL", help="a run folder, or its model folder")
    parser.add_argument("files", nargs="+", metavar="INPUT OUTPUT", help="pairs of files")
    parser.add_argument("--dataset", help="the dataset whose columns and tasks the input has")
    parser.add_argument(
        "--device", type=int, help="a GPU's number, -1 for the CPU (default: a GPU if there is one)"
    )
    parser.add_argument(
        "--batch_size", type=int, default=32, metavar="N", help="sentences a batch (default: 32)"
    )
    parser.add_argument(
        "--raw_text", action="store_true", help="the input is one sentence a line, words by spaces"
    )
    _add_later(parser, _LATER_PREDICT)
    return parser


def _add_later(parser: argparse.ArgumentParser, flags: dict[str, int]) -> None:
    """Flags of MaChAmp that are not supported yet: known by name, and refused by name."""
    for flag, values in flags.items():
        parser.add_argument(flag, nargs=values, action=_Later, help=argparse.SUPPRESS)


class _Later(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: object,
        values: object,
        option_string: str | None = None,
    ) -> None:
        raise ConfigError(f"{option_string}: not supported yet")


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
    try:
        keepers = runs.train(config, folder, device=device, resume=resume, retrain=retrain)
    except MachampError as error:
        logging.getLogger("machamp_lite").error("%s", error)
        raise
    except KeyboardInterrupt:
        if (folder / "state").exists():
            print(
                f"to go on after the last finished epoch: python train.py --resume {folder}", file=sys.stderr
            )
        raise
    _show_scores(keepers)
    print(f"model: {folder / 'model'}")


def _predict(flags: argparse.Namespace) -> int:
    if len(flags.files) % 2:
        raise ConfigError(
            f"predict.py: found no OUTPUT for {flags.files[-1]}, expected pairs of INPUT OUTPUT"
        )
    if flags.batch_size < 1:
        raise ConfigError(f"--batch_size: found {flags.batch_size}, expected at least 1")
    pairs = list(zip(flags.files[::2], flags.files[1::2], strict=True))
    faults = [fault for source, target in pairs for fault in _file_faults(source, target)]
    faults += [
        f"{target}: is the output of two files"
        for target, times in Counter(flags.files[1::2]).items()
        if times > 1
    ]
    if faults:
        raise ConfigError(faults)
    _set_up_logging()
    from machamp_lite.evaluation import ScoreKeeper
    from machamp_lite.predictor import choose_dataset, predict_file
    from machamp_lite.training.checkpoint import load_model

    model = load_model(flags.model, device=_device(flags.device))
    dataset = choose_dataset(model, flags.dataset)
    for source, target in pairs:
        keeper = ScoreKeeper(model.config.datasets[dataset].tasks)
        predict_file(
            model,
            source,
            target,
            dataset=dataset,
            raw_text=flags.raw_text,
            batch_size=flags.batch_size,
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


def _file_faults(source: str, target: str) -> Iterator[str]:
    """What is wrong with the paths of one input and its output."""
    for path in (source, target):
        if os.path.isdir(path):
            yield f"{path}: is a folder, expected a file"
    if not os.path.exists(source):
        yield f"{source}: no such file"
    elif os.path.exists(target) and os.path.samefile(source, target):
        yield f"{target}: is the input itself, expected another file"
    if not Path(target).parent.is_dir():
        yield f"{target}: the folder {Path(target).parent} does not exist"


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
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("machamp_lite").addHandler(handler)
