"""The flags of the train command, and what the parsers of both commands have in common."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from machamp_lite.errors import LONGEST_REASON, ConfigError, did_you_mean, shorten


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line; unknown flags come first, with the nearest right one."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{self.prog}: {shorten(message, LONGEST_REASON)}; see --help")

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


def _train_parser() -> Parser:
    parser = Parser(
        prog="train.py",
        allow_abbrev=False,
        description="Trains one model for the tasks of all dataset configs, or one after another.",
    )
    parser.add_argument(
        "--dataset_configs",
        nargs="+",
        default=[],
        metavar="FILE",
        help="one or more dataset configs (jsonnet)",
    )
    parser.add_argument(
        "--parameters_config",
        metavar="FILE",
        help="params (jsonnet) that override the defaults of configs/params.json",
    )
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
        "--check", action="store_true", help="check and describe configs and data, without training"
    )
    parser.add_argument("--name", help="the name of the run (default: the file names of the configs, joined by dots)")
    parser.add_argument(
        "--model_dir",
        metavar="DIR",
        help="the run folder: new, empty, or of an earlier run with --overwrite (default: logs/NAME/DATE_TIME)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the run in --model_dir")
    parser.add_argument(
        "--device", type=int, help="the number of a GPU, -1 for the CPU (default: a GPU if there is one)"
    )
    parser.add_argument(
        "--resume", metavar="DIR", help="resume the run of this folder from its last saved state"
    )
    parser.add_argument("--seed", type=int, help="the random seed (default: random_seed of params)")
    parser.add_argument(
        "--retrain",
        metavar="MODEL",
        help="start from the encoder of this model (a run folder or a model folder), and from the decoders of tasks "
        "that have the same name, type and labels",
    )
    parser.add_argument(
        "--sequential",
        action="store_true",
        help="one run for each dataset config, in order, in DIR/0, DIR/1, ...; each starts from the best model of the "
        "one before",
    )
    parser.add_argument(
        "--data_cache",
        default="auto",
        metavar="auto|off|DIR",
        help="where data that was read is kept for the next run: auto (the default) is machamp_lite in the user's "
        "cache folder, for data of 1 MB or more; DIR is used for all data; off keeps nothing",
    )
    add_precision(parser)
    return parser


def add_precision(parser: argparse.ArgumentParser) -> None:
    """The flag that both commands have."""
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        help="numbers of 32 or 16 bits; auto takes 16 if the hardware has them (default: training.precision)",
    )


def train_flags(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The flags of train; with --resume, configs come from the run's folder and no other flag may change them."""
    parser = _train_parser()
    flags = parser.read(arguments)
    for name in ("name", "model_dir", "resume", "retrain", "data_cache"):
        given = getattr(flags, name)
        if given is not None and not given.strip():
            raise ConfigError(f"--{name}: found the empty name {given!r}, expected a name")
    if flags.resume is None:
        if not flags.dataset_configs:
            parser.error("the following arguments are required: --dataset_configs")
        if flags.precision is not None:
            flags.overrides.append(f"training.precision={flags.precision}")
        if flags.sequential and len(flags.dataset_configs) == 1:
            raise ConfigError("--sequential: found one dataset config, expected several")
        return flags
    configs = ("dataset_configs", "parameters_config", "overrides", "seed")
    for name in (*configs, "precision", "check", "name", "model_dir", "retrain", "sequential"):
        if getattr(flags, name) not in (None, [], False):
            flag = "set" if name == "overrides" else name
            raise ConfigError(
                f"--{flag}: a resumed run keeps its config, expected no such flag beside --resume"
            )
    names = ("dataset-configs.json", "params-config.json", "state/state.safetensors")
    paths = [Path(flags.resume, name) for name in names]
    if not all(path.exists() for path in paths):
        raise ConfigError(
            f"--resume {flags.resume}: found no run to resume, expected the folder of one that was stopped after "
            "it had saved its state"
        )
    flags.dataset_configs, flags.parameters_config = [str(paths[0])], str(paths[1])
    return flags
