"""The flags of the train and predict commands."""

import argparse
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from machamp_lite.cli.device import HELP as DEVICE_HELP
from machamp_lite.cli.device import parse_device
from machamp_lite.cli.parser import Parser
from machamp_lite.errors import ConfigError, check_empty_names, counted, nearest_file, shorten
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.run_files import DATASET_CONFIGS, GROUP_CONFIGS, PARAMS_CONFIG, SUMMARY
from machamp_lite.files.streams import STANDARD_STREAM
from machamp_lite.model.model_folder import folder_of_model_file

# The highest number of sentences or labels.
LARGEST_NUMBER = 2**31 - 1


# Flags of older versions of MaChAmp, with what to do instead.
_REMOVED_FROM_TRAINING = {
    "--archive_bert": "--retrain RUN starts from the encoder of a run; leave this flag out",
}
_REMOVED_FROM_PREDICTION = {
    "--copy_other_columns": "columns that belong to no task are always copied; leave this flag out",
    "--eval_file": "scores are written to OUTPUT.eval; leave this flag out",
}


def train_parser(prog: str) -> Parser:
    """The flags of the train command."""
    parser = Parser(
        prog=prog,
        description="Trains one model for the tasks of all dataset configs, or one model per config.",
        removed=_REMOVED_FROM_TRAINING,
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
    _add_precision(parser)
    add_verbosity(parser)
    return parser


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Adds the flags ``-q`` and ``-v``, which choose ``log_level``."""
    group = parser.add_mutually_exclusive_group()
    for flag, name, level, text in (
        ("-q", "--quiet", logging.ERROR, "print only errors and the last line; log.txt has everything"),
        ("-v", "--verbose", logging.DEBUG, "print more, such as the labels that are not found, after each epoch"),
    ):
        group.add_argument(flag, name, action="store_const", dest="log_level", const=level, help=text)
    parser.set_defaults(log_level=logging.INFO)


def _add_precision(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that both commands have."""
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        help="32- or 16-bit numbers; auto chooses bf16 if the hardware supports it (default: training.precision)",
    )


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
        flags.dataset_configs, flags.parameters_config = _configs_of_run(flags.resume)
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


def seed_faults(seeds: Sequence[int]) -> list[str]:
    """A line if seeds are not different numbers in the range of seeds."""
    if all(0 <= seed < 2**32 for seed in seeds) and len(set(seeds)) == len(seeds):
        return []
    return [f"--seeds: found {' '.join(map(str, seeds))}, expected different numbers from 0 to 2^32 - 1"]


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
    for name in (*configs, "check", "name", "model_dir", "retrain", *groups):
        if getattr(flags, name) not in (None, [], False):
            flag = "set" if name == "overrides" else name
            raise ConfigError(
                f"--{flag}: a resumed run keeps its config, expected no such flag with --resume"
            )


def _configs_of_run(folder: str) -> tuple[list[str], str]:
    """The dataset configs and the params of a run that can be resumed."""
    names = ("dataset-configs.json", "params-config.json", "state/state.safetensors")
    datasets, params, state = (Path(folder, name) for name in names)
    if datasets.exists() and params.exists() and state.exists():
        return [str(datasets)], str(params)
    if not Path(folder).exists():
        reason = f"there is no such folder{nearest_file(folder)}"
    elif not datasets.exists():
        reason = "it is not a run folder, expected one with dataset-configs.json"
    elif Path(folder, "model").exists():
        reason = f"the run is finished; to train its model further, start a new run with --retrain {folder}"
    else:
        reason = "the run was stopped before it saved a state; start it again with --overwrite"
    raise ConfigError(f"--resume {folder}: found no run to resume: {reason}")


def predict_parser(prog: str) -> Parser:
    """The flags of the predict command."""
    parser = Parser(
        prog=prog,
        description="Writes the labels of a trained model into files.",
        removed=_REMOVED_FROM_PREDICTION,
        examples=[
            "runs/treebank data/ewt/test.conllu predicted.conllu",
            "runs/intents data/xsid/requests.txt predicted.conll --dataset INTENTS --raw_text",
            "runs/treebank - - --topn 3 < data/ewt/test.conllu",
        ],
    )
    parser.add_argument("model", metavar="MODEL", help="a run folder, or its model folder")
    parser.add_argument(
        "files",
        nargs="*",
        default=[],
        metavar="INPUT OUTPUT",
        help="pairs of files; - is standard input or output; without OUTPUT, standard output; without both, standard "
        "input and output",
    )
    parser.add_argument(
        "--dataset",
        action="append",
        metavar="NAME",
        help="the dataset whose columns and tasks the input has; A+B for the tasks of both; given once for all files, "
        "or once per pair (default: chosen by the format and the labels of each input)",
    )
    parser.add_argument("--device", type=parse_device, metavar="DEVICE", help=DEVICE_HELP)
    parser.add_argument(
        "--batch_size", type=int, default=32, metavar="N", help="sentences per batch (default: 32)"
    )
    parser.add_argument("--max_sents", type=int, metavar="N", help="predict only the first N sentences (-1: all)")
    parser.add_argument(
        "--raw_text",
        action="store_true",
        help="the input is one sentence or text per line; words are split by a task of type tok or by Unicode rules",
    )
    parser.add_argument(
        "--pre_tokenized",
        action="store_true",
        help="with --raw_text, words are split at white space only",
    )
    parser.add_argument(
        "--topn",
        type=int,
        metavar="N",
        help="write the N best labels of all tasks, with probabilities (default: topn of each task)",
    )
    parser.add_argument(
        "--conn",
        metavar="STRING",
        help="with several labels per item, the string between a label and its probability (default: =)",
    )
    parser.add_argument(
        "--sep", metavar="STRING", help="with several labels per item, the string between them (default: |)"
    )
    parser.add_argument(
        "--confidence",
        action="store_true",
        help="write a comment per sentence and task with the probability of all its labels, and of each span",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="tasks with any number of labels predict those above this probability (default: threshold of each task)",
    )
    parser.add_argument(
        "--tau",
        type=float,
        metavar="TAU",
        help="tasks of type seq and classification subtract TAU times the log of a label's share of the training data "
        "from its score (default: tau of each task)",
    )
    parser.add_argument(
        "--min_confidence",
        type=float,
        metavar="P",
        help="tasks of type seq_bio predict no span that is less probable (default: min_confidence of each task)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="TASK.KEY=VALUE",
        help="one option of a task that decides: tau, offsets, costs, threshold, min_confidence or temperature; the "
        "value is JSON; may be repeated",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="predict the most probable label, or all labels above 0.5, and ignore tau, costs, threshold and "
        "min_confidence of tasks",
    )
    _add_precision(parser)
    add_verbosity(parser)
    return parser


def predict_flags(arguments: Sequence[str] | None, *, prog: str = "predict.py") -> argparse.Namespace:
    """The flags of the predict command, with ``pairs`` of input and output; raises ``ConfigError`` for bad values."""
    flags = predict_parser(prog).read(arguments)
    flags.only_scores = False
    if len(flags.files) < 2:
        flags.files = (flags.files or [STANDARD_STREAM]) + [STANDARD_STREAM]
    if len(flags.files) % 2:
        raise ConfigError(
            f"{prog}: found no OUTPUT for {flags.files[-1]}, expected pairs of INPUT OUTPUT"
        )
    flags.pairs = list(zip(flags.files[::2], flags.files[1::2], strict=True))
    return _checked_predict_flags(flags)


def evaluate_parser(prog: str) -> Parser:
    """The flags of the evaluate command, most of which the predict command has too."""
    parser = Parser(
        prog=prog,
        description="Prints the scores of a model on files with gold labels, without writing predictions.",
        removed={},
        examples=[
            "runs/treebank data/ewt/test.conllu",
            "runs/treebank data/ewt/dev.conllu data/ewt/test.conllu --set upos.tau=0.5",
        ],
    )
    names = ("dataset", "max_sents", "threshold", "tau", "min_confidence", "plain", "overrides")
    other = predict_parser(prog)
    parser.copy_flags(other, ["model"])
    parser.add_argument("files", nargs="+", metavar="FILE", help="files with gold labels; - is standard input")
    parser.copy_flags(other, (*names, "batch_size", "device", "precision"))
    add_verbosity(parser)
    return parser


def evaluate_flags(arguments: Sequence[str] | None, *, prog: str) -> argparse.Namespace:
    """The flags of the predict command; all predictions are discarded."""
    given = evaluate_parser(prog).read(arguments)
    defaults = predict_parser(prog).parse_args([given.model])
    flags = argparse.Namespace(**{**vars(defaults), **vars(given)}, only_scores=True)
    flags.pairs = [(file, os.devnull) for file in flags.files]
    return _checked_predict_flags(flags)


def _checked_predict_flags(flags: argparse.Namespace) -> argparse.Namespace:
    # Not at the top: --help must not wait for the formats of files.
    from machamp_lite.inference.file_pairs import check_pairs

    if flags.max_sents == -1:
        # MaChAmp's default.
        flags.max_sents = None
    faults = list(_value_faults(flags))
    try:
        check_pairs(flags.pairs)
    except ConfigError as error:
        faults += error.faults
    if faults:
        raise ConfigError(faults)
    return flags


def _value_faults(flags: argparse.Namespace) -> Iterator[str]:
    # Not at the top: --help must not wait for pydantic.
    from machamp_lite.config.task_types import LARGEST_TAU

    for name in ("batch_size", "max_sents", "topn"):
        value = getattr(flags, name)
        if value is not None and not 1 <= value <= LARGEST_NUMBER:
            limit = "at least 1" if value < 1 else f"at most {LARGEST_NUMBER}"
            yield f"--{name}: found {shorten(str(value))}, expected {limit}"
    for name in ("threshold", "min_confidence"):
        value = getattr(flags, name)
        if value is not None and not 0 <= value <= 1:
            yield f"--{name}: found {value:g}, expected a number from 0 to 1"
    if flags.tau is not None and not -LARGEST_TAU <= flags.tau <= LARGEST_TAU:
        yield f"--tau: found {flags.tau:g}, expected a number from -{LARGEST_TAU} to {LARGEST_TAU}"
    for name in ("threshold", "tau", "min_confidence"):
        if flags.plain and getattr(flags, name) is not None:
            yield f"--plain: found together with --{name}, expected one of them"
    for name in ("conn", "sep"):
        value = getattr(flags, name)
        if value is not None and (not value or set(value) & set("\t\r\n")):
            yield f"--{name}: found {value!r}, expected a string that is not empty, without tabs and line ends"
    if flags.dataset is not None and len(flags.dataset) not in (1, len(flags.pairs)):
        yield (
            f"--dataset: found {len(flags.dataset)} of them for {counted(len(flags.pairs), 'pair')} of files, expected "
            "one for all, or one per pair"
        )
    if flags.pre_tokenized and not flags.raw_text:
        yield "--pre_tokenized: has no effect without --raw_text, expected both"
