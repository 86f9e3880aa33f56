"""The flags of the train and check commands."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from machamp_lite.cli.arguments import LARGEST_NUMBER, add_precision, add_verbosity, seed_faults
from machamp_lite.cli.device import HELP as DEVICE_HELP
from machamp_lite.cli.device import parse_device
from machamp_lite.cli.parser import Parser
from machamp_lite.errors import ConfigError, check_empty_names
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.run_files import DATASET_CONFIGS, GROUP_CONFIGS, PARAMS_CONFIG, SUMMARY
from machamp_lite.model.model_folder import folder_of_model_file
from machamp_lite.training.resumable import resume_fault

# Flags of older versions of MaChAmp, with what to do instead.
_REMOVED = {
    "--archive_bert": "--retrain RUN starts from the encoder of a run; leave this flag out",
}


def train_parser(prog: str) -> Parser:
    """The flags of the train command."""
    parser = Parser(
        prog=prog,
        description="Trains one model for the tasks of all dataset configs, or one model per config.",
        removed=_REMOVED,
        examples=[
            "--dataset_configs configs/treebank.json --model_dir runs/treebank",
            "--dataset_configs configs/treebank.json configs/intents.json --set training.num_epochs=3",
            "--dataset_configs configs/treebank.json --parameters_config params-machamp.json --device 0",
            "--resume runs/treebank",
        ],
    )
    parser.add_argument(
        "--dataset_configs",
        "--dataset_config",
        action="extend",
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
        help="one value of params or of a dataset: training.num_epochs=3 or DATASET.tasks.TASK.loss_weight=0.5; "
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
    parser.add_argument("--device", type=parse_device, metavar="DEVICE", help=DEVICE_HELP)
    parser.add_argument(
        "--resume", metavar="DIR", help="resume the run of this folder from its last saved state"
    )
    parser.add_argument("--seed", type=int, help="the random seed (default: random_seed of params)")
    parser.add_argument(
        "--seeds", nargs="+", type=int, metavar="N", help="one run per random seed, in DIR/N; resumed if repeated"
    )
    parser.add_argument(
        "--folds",
        type=int,
        metavar="K",
        help="cross-validation: K runs, in DIR/fold_1, DIR/fold_2, ...; each leaves out one part of the training data "
        "and predicts it",
    )
    parser.add_argument(
        "--fold_by",
        choices=("sentence", "document"),
        help="with --folds, what is kept together: sentence (the default), or the documents of CoNLL-U (# newdoc)",
    )
    parser.add_argument(
        "--retrain",
        "--finetune",
        metavar="MODEL",
        help="start from the encoder of this model (a run folder or a model folder), and from the decoders of tasks "
        "that have the same name, type and labels",
    )
    parser.add_argument(
        "--sequential",
        action="store_true",
        help="one run per dataset config, in order, in DIR/0, DIR/1, ...; each starts from the best model of the "
        "previous one",
    )
    parser.add_argument(
        "--data_cache",
        default="auto",
        metavar="auto|off|DIR",
        help="where tokenized data is cached for the next run: auto (the default) is machamp_lite in the user's "
        "cache folder, for data of 1 MB or more; DIR is used for all data; off caches nothing",
    )
    add_precision(parser)
    add_verbosity(parser)
    return parser


def train_flags(arguments: Sequence[str] | None, *, prog: str = "train.py") -> argparse.Namespace:
    """The flags of the train command and its name; with --resume, the configs are those in the run folder."""
    return _checked_train_flags(train_parser(prog).read(arguments), prog)


def check_parser(prog: str) -> Parser:
    """The flags of the check command, most of which the train command has too."""
    parser = Parser(
        prog=prog,
        description="Checks and describes configs and their data, without training. Nothing is written.",
        removed={},
        examples=[
            "configs/treebank.json",
            "configs/treebank.json configs/intents.json --set TREEBANK.max_sents=100",
        ],
    )
    parser.add_argument("dataset_configs", nargs="+", metavar="CONFIG", help="one or more dataset configs (jsonnet)")
    names = ("parameters_config", "overrides", "retrain", "sequential", "data_cache")
    parser.copy_flags(train_parser(prog), names)
    add_verbosity(parser)
    return parser


def check_flags(arguments: Sequence[str] | None, *, prog: str) -> argparse.Namespace:
    """The flags of the train command with ``--check``."""
    given, defaults = check_parser(prog).read(arguments), train_parser(prog).parse_args([])
    return _checked_train_flags(argparse.Namespace(**{**vars(defaults), **vars(given), "check": True}), prog)


def _checked_train_flags(flags: argparse.Namespace, prog: str) -> argparse.Namespace:
    flags.prog = prog
    if flags.seed == -1:
        # The default of MaChAmp 0.3: the seed of params.
        flags.seed = None
    names = ("name", "model_dir", "resume", "retrain", "data_cache")
    check_empty_names({f"--{name}": getattr(flags, name) for name in names})
    if flags.resume is not None:
        _check_resume_flags(flags)
        flags.resume = str(folder_of_model_file(flags.resume))
        if group := read_json_object(Path(flags.resume, SUMMARY)):
            # The folder of a group of runs.
            flags.seeds, flags.folds = group.get("seeds"), group.get("folds")
            flags.fold_by, flags.retrain = group.get("fold_by"), group.get("retrain")
            configs = Path(flags.resume, GROUP_CONFIGS)
            flags.dataset_configs = [str(configs / DATASET_CONFIGS)]
            flags.parameters_config = str(configs / PARAMS_CONFIG)
            return flags
        if fault := resume_fault(flags.resume):
            raise ConfigError(f"--resume {flags.resume}: found no run to resume: {fault}")
        flags.dataset_configs = [str(Path(flags.resume, DATASET_CONFIGS))]
        flags.parameters_config = str(Path(flags.resume, PARAMS_CONFIG))
        return flags
    if not flags.dataset_configs:
        raise ConfigError(f"{prog}: the following arguments are required: --dataset_configs; see --help")
    if flags.retrain is not None:
        flags.retrain = str(folder_of_model_file(flags.retrain))
    if flags.precision is not None:
        flags.overrides.append(f"training.precision={flags.precision}")
    if flags.sequential and len(flags.dataset_configs) == 1:
        raise ConfigError("--sequential: found one dataset config, expected several")
    if faults := list(_group_faults(flags)):
        raise ConfigError(faults)
    if flags.folds is not None and flags.fold_by is None:
        flags.fold_by = "sentence"
    return flags


def _group_faults(flags: argparse.Namespace) -> Iterator[str]:
    """What is wrong with the flags of several runs."""
    yield from seed_faults(flags.seeds or [])
    if flags.folds is not None and not 2 <= flags.folds <= LARGEST_NUMBER:
        yield f"--folds: found {flags.folds}, expected at least 2"
    if flags.fold_by is not None and flags.folds is None:
        yield "--fold_by: has no effect without --folds, expected both"
    if flags.seeds is not None and flags.seed is not None:
        yield "--seeds: found together with --seed, expected one of them"
    groups = [name for name in ("sequential", "seeds", "folds") if getattr(flags, name)]
    if len(groups) > 1:
        yield f"--{groups[0]}: found together with --{groups[1]}, expected one of them"
    for name in set(groups) - {"sequential"}:
        if flags.overwrite:
            yield f"--overwrite: cannot be combined with --{name}; expected a new or empty --model_dir"


def _check_resume_flags(flags: argparse.Namespace) -> None:
    """Raises ``ConfigError`` for a flag that would change the config of a resumed run."""
    configs = ("dataset_configs", "parameters_config", "overrides", "seed", "precision")
    groups = ("sequential", "seeds", "folds", "fold_by")
    for name in (*configs, "check", "name", "model_dir", "retrain", "overwrite", *groups):
        if getattr(flags, name) not in (None, [], False):
            flag = "set" if name == "overrides" else name
            raise ConfigError(
                f"--{flag}: a resumed run keeps its config, expected no such flag with --resume"
            )
