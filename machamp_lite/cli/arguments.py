"""The flags of the predict and evaluate commands, and those that several commands have."""

import argparse
import logging
import os
from collections.abc import Iterator, Sequence

from machamp_lite.cli.device import HELP as DEVICE_HELP
from machamp_lite.cli.device import parse_device
from machamp_lite.cli.output_formats import OUTPUT_FORMATS, output_format_faults
from machamp_lite.cli.parser import Parser
from machamp_lite.errors import ConfigError, counted, nearest_file, shorten
from machamp_lite.files.streams import STANDARD_STREAM
from machamp_lite.model.model_folder import folder_of_model_file

# The highest number of sentences or labels.
LARGEST_NUMBER = 2**31 - 1

# Flags of older versions of MaChAmp, with what to do instead.
_REMOVED = {
    "--copy_other_columns": "columns that belong to no task are always copied; leave this flag out",
    "--eval_file": "scores are written to OUTPUT.eval; leave this flag out",
}


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Adds the flags ``-q`` and ``-v``, which choose ``log_level``."""
    group = parser.add_mutually_exclusive_group()
    for flag, name, level, text in (
        ("-q", "--quiet", logging.ERROR, "print only errors and the last line; log.txt has everything"),
        ("-v", "--verbose", logging.DEBUG, "print more, such as the labels that are not found, after each epoch"),
    ):
        group.add_argument(flag, name, action="store_const", dest="log_level", const=level, help=text)
    parser.set_defaults(log_level=logging.INFO)


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that overrides the precision of params."""
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        help="32- or 16-bit numbers; auto chooses bf16 if the hardware supports it (default: training.precision)",
    )


def seed_faults(seeds: Sequence[int]) -> list[str]:
    """A line if seeds are not different numbers in the range of seeds."""
    if all(0 <= seed < 2**32 for seed in seeds) and len(set(seeds)) == len(seeds):
        return []
    return [f"--seeds: found {' '.join(map(str, seeds))}, expected different numbers from 0 to 2^32 - 1"]


def predict_parser(prog: str) -> Parser:
    """The flags of the predict command."""
    parser = Parser(
        prog=prog,
        description="Writes the labels of a trained model into files.",
        removed=_REMOVED,
        examples=[
            "runs/treebank data/ewt/test.conllu predicted.conllu",
            "runs/intents data/xsid/requests.txt predicted.conll --dataset INTENTS --raw_text",
            "runs/treebank - - --topn 3 < data/ewt/test.conllu",
            "runs/intents data/xsid/requests.txt - --dataset INTENTS --raw_text --output_format jsonl",
        ],
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a run folder, its model folder, or a group of runs, which predict together"
    )
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
        "--output_format",
        choices=OUTPUT_FORMATS,
        help="write one JSON object per sentence with its words, labels, probabilities, spans and offsets (jsonl), or "
        "CoNLL-U, and no scores (default: the format of the input)",
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
    add_precision(parser)
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
        description="Prints the scores of a model on files with gold labels, without writing predictions; or, with "
        "--dataset_configs, the scores of files of predictions: evaluate GOLD PREDICTED --dataset_configs CONFIG.",
        removed={},
        examples=[
            "runs/treebank data/ewt/test.conllu",
            "runs/treebank data/ewt/dev.conllu data/ewt/test.conllu --set upos.tau=0.5",
            "data/ewt/test.conllu predicted.conllu --dataset_configs configs/treebank.json",
        ],
    )
    names = ("dataset", "max_sents", "threshold", "tau", "min_confidence", "plain", "overrides")
    other = predict_parser(prog)
    parser.copy_flags(other, ["model"])
    parser.add_argument("files", nargs="+", metavar="FILE", help="files with gold labels; - is standard input")
    parser.add_argument(
        "--dataset_configs",
        action="append",
        metavar="CONFIG",
        help="no model is used: the arguments are pairs of GOLD PREDICTED, files with the columns and tasks of this "
        "dataset config; --set is then that of train; may be repeated",
    )
    parser.copy_flags(other, (*names, "batch_size", "device", "precision"))
    add_verbosity(parser)
    return parser


def evaluate_flags(arguments: Sequence[str] | None, *, prog: str) -> argparse.Namespace:
    """The flags of the predict command; all predictions are discarded."""
    given = evaluate_parser(prog).read(arguments)
    defaults = predict_parser(prog).parse_args([given.model])
    flags = argparse.Namespace(**{**vars(defaults), **vars(given)}, only_scores=True)
    if flags.dataset_configs is not None:
        return _checked_pairs(flags, defaults, prog=prog)
    if os.path.isfile(folder_of_model_file(flags.model)):
        raise ConfigError(
            f"{flags.model}: found a file, expected a run folder; to score predictions without a model, add "
            "--dataset_configs CONFIG"
        )
    flags.pairs = [(file, os.devnull) for file in flags.files]
    return _checked_predict_flags(flags)


def _checked_pairs(flags: argparse.Namespace, defaults: argparse.Namespace, *, prog: str) -> argparse.Namespace:
    """The flags of the evaluate command without a model, with ``pairs`` of gold and predicted files."""
    files = [flags.model, *flags.files]
    of_models = ("max_sents", "threshold", "tau", "min_confidence", "plain", "batch_size", "device", "precision")
    faults = [
        f"--{name}: has no effect with --dataset_configs, because no model predicts; leave it out"
        for name in of_models
        if getattr(flags, name) != getattr(defaults, name)
    ]
    if len(files) % 2:
        faults.append(f"{prog}: found no PREDICTED for {files[-1]}, expected pairs of GOLD PREDICTED")
    if files.count(STANDARD_STREAM) > 1:
        faults.append(f"{prog}: found - twice, expected it once: standard input can be read only once")
    for path in files:
        if path != STANDARD_STREAM and not os.path.exists(path):
            faults.append(f"{path}: no such file{nearest_file(path)}")
    if faults:
        raise ConfigError(dict.fromkeys(faults))
    flags.pairs = list(zip(files[::2], files[1::2], strict=True))
    return flags


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
    from machamp_lite.config.decision_values import decision_value_faults

    for name in ("batch_size", "max_sents", "topn"):
        value = getattr(flags, name)
        if value is not None and not 1 <= value <= LARGEST_NUMBER:
            limit = "at least 1" if value < 1 else f"at most {LARGEST_NUMBER}"
            yield f"--{name}: found {shorten(str(value))}, expected {limit}"
    yield from decision_value_faults(
        threshold=flags.threshold, tau=flags.tau, min_confidence=flags.min_confidence, plain=flags.plain
    )
    for name in ("conn", "sep"):
        value = getattr(flags, name)
        if value is not None and (not value or set(value) & set("\t\r\n")):
            yield f"--{name}: found {value!r}, expected a string that is not empty, without tabs and line ends"
    if flags.dataset is not None and len(flags.dataset) not in (1, len(flags.pairs)):
        yield (
            f"--dataset: found {len(flags.dataset)} of them for {counted(len(flags.pairs), 'pair')} of files, expected "
            "one for all, or one per pair"
        )
    yield from output_format_faults(flags)
    if flags.pre_tokenized and not flags.raw_text:
        yield "--pre_tokenized: has no effect without --raw_text, expected both"
