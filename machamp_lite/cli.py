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
from typing import TYPE_CHECKING, NoReturn

from machamp_lite.errors import ConfigError, DataError, MachampError, did_you_mean

if TYPE_CHECKING:
    from machamp_lite.evaluation import ScoreKeeper

# Heavy imports wait inside the functions that need them: --help answers at once.

_LATER_TRAIN = {"--sequential": 0, "--retrain": 1}
_LATER_PREDICT = {"--topn": 1, "--conn": 1, "--sep": 1, "--threshold": 1, "--max_sents": 1}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line; unknown flags come first, with the nearest right one."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog}: {message}; see --help")

    def read(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parses the arguments of the command line, or those given."""
        arguments = sys.argv[1:] if arguments is None else arguments
        flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        given = (argument.partition("=")[0] for argument in arguments)
        for flag in given:
            if flag.startswith("--") and flag not in ("--", *flags):
                hint = did_you_mean(flag, flags)
                self.error(f"unknown flag {flag}{hint if 'did you mean' in hint else ''}")
        return self.parse_args(arguments)


def train(arguments: Sequence[str] | None = None) -> int:
    """The train command; returns its exit code."""
    return _guarded(lambda: _train(_train_flags(arguments)))


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


def _train_parser() -> _Parser:
    parser = _Parser(
        prog="train.py", allow_abbrev=False, description="Trains one model for the tasks of dataset configs."
    )
    parser.add_argument(
        "--dataset_configs",
        nargs="+",
        default=[],
        metavar="FILE",
        help="one or more dataset configs (jsonnet)",
    )
    parser.add_argument("--parameters_config", metavar="FILE", help="laid over configs/params.json")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="one value of params or of a dataset, as training.num_epochs=3 or DATASET.tasks.TASK.loss_weight=0.5; "
        "may be repeated",
    )
    parser.add_argument(
        "--check", action="store_true", help="check configs and data, say what is in them, and stop"
    )
    parser.add_argument("--name", help="the run's name (default: the configs' file names joined by dots)")
    parser.add_argument("--model_dir", metavar="DIR", help="the run folder (default: logs/NAME/DATE_TIME)")
    parser.add_argument("--overwrite", action="store_true", help="let --model_dir hold a run already")
    parser.add_argument(
        "--device", type=int, help="a GPU's number, -1 for the CPU (default: a GPU if there is one)"
    )
    parser.add_argument(
        "--resume", metavar="DIR", help="go on with the run of this folder after its last finished epoch"
    )
    parser.add_argument("--seed", type=int, help="the random seed (default: random_seed of params)")
    _add_later(parser, _LATER_TRAIN)
    return parser


def _train_flags(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The flags of train; with --resume, configs come from the run's folder and no other flag may change them."""
    parser = _train_parser()
    flags = parser.read(arguments)
    if flags.resume is None:
        if not flags.dataset_configs:
            parser.error("the following arguments are required: --dataset_configs")
        return flags
    for name in ("dataset_configs", "parameters_config", "overrides", "check", "name", "model_dir", "seed"):
        if getattr(flags, name) not in (None, [], False):
            flag = "set" if name == "overrides" else name
            raise ConfigError(
                f"--{flag}: a run that goes on keeps its config, expected no such flag beside --resume"
            )
    paths = [Path(flags.resume, name) for name in ("dataset-configs.json", "params-config.json", "state")]
    if not all(path.exists() for path in paths):
        raise ConfigError(
            f"--resume {flags.resume}: found no run that can go on, expected the folder of one that was stopped after "
            "its first epoch"
        )
    flags.dataset_configs, flags.parameters_config = [str(paths[0])], str(paths[1])
    return flags


def _predict_parser() -> _Parser:
    parser = _Parser(
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
    from machamp_lite.config import load_config

    # From a terminal, logs go to it; the run's own log file comes with its folder.
    _set_up_logging()
    config = load_config(
        flags.dataset_configs,
        parameters_config=flags.parameters_config,
        overrides=flags.overrides,
        seed=flags.seed,
    )
    from machamp_lite import runs

    if flags.check:
        print("\n".join(runs.check(config)))
        return 0
    device = _device(flags.device)
    folder = runs.make_run_folder(
        flags.resume or flags.model_dir or runs.default_run_folder(flags.dataset_configs, flags.name),
        overwrite=flags.overwrite or flags.resume is not None,
    )
    _log_to(folder / "log.txt")
    logging.getLogger("machamp_lite").info("run folder: %s", folder)
    try:
        keepers = runs.train(config, folder, device=device, resume=flags.resume is not None)
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
    return 0


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
