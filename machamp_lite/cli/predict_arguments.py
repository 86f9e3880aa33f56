"""The flags of the predict command."""

import argparse
from collections.abc import Iterator, Sequence

from machamp_lite.cli.arguments import Parser, add_precision
from machamp_lite.errors import ConfigError, shorten
from machamp_lite.files.paths import check_pairs
from machamp_lite.files.streams import STANDARD_STREAM

# Of sentences and labels.
LARGEST_NUMBER = 2**31 - 1


def _predict_parser() -> Parser:
    parser = Parser(
        prog="predict.py", allow_abbrev=False, description="Writes the labels of a trained model into files."
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
        help="the dataset whose columns and tasks the input has (default: the one that the input looks like)",
    )
    parser.add_argument(
        "--device", type=int, help="the number of a GPU, -1 for the CPU (default: a GPU if there is one)"
    )
    parser.add_argument(
        "--batch_size", type=int, default=32, metavar="N", help="sentences per batch (default: 32)"
    )
    parser.add_argument("--max_sents", type=int, metavar="N", help="predict only the first N sentences")
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
        default="=",
        metavar="STRING",
        help="the string between a label and its probability (default: =)",
    )
    parser.add_argument("--sep", default="|", metavar="STRING", help="the string between labels (default: |)")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="tasks with any number of labels predict those above this probability (default: threshold of each task)",
    )
    add_precision(parser)
    return parser


def predict_flags(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The flags of predict, with ``pairs`` of input and output; raises ``ConfigError`` for those that cannot be."""
    flags = _predict_parser().read(arguments)
    if len(flags.files) < 2:
        flags.files = (flags.files or [STANDARD_STREAM]) + [STANDARD_STREAM]
    if len(flags.files) % 2:
        raise ConfigError(
            f"predict.py: found no OUTPUT for {flags.files[-1]}, expected pairs of INPUT OUTPUT"
        )
    flags.pairs = list(zip(flags.files[::2], flags.files[1::2], strict=True))
    faults = list(_value_faults(flags))
    try:
        check_pairs(flags.pairs)
    except ConfigError as error:
        faults += error.faults
    if faults:
        raise ConfigError(faults)
    return flags


def _value_faults(flags: argparse.Namespace) -> Iterator[str]:
    for name in ("batch_size", "max_sents", "topn"):
        value = getattr(flags, name)
        if value is not None and not 1 <= value <= LARGEST_NUMBER:
            limit = "at least 1" if value < 1 else f"at most {LARGEST_NUMBER}"
            yield f"--{name}: found {shorten(str(value))}, expected {limit}"
    if flags.threshold is not None and not 0 < flags.threshold < 1:
        yield f"--threshold: found {flags.threshold:g}, expected a number between 0 and 1"
    for name in ("conn", "sep"):
        value = getattr(flags, name)
        if not value or set(value) & set("\t\r\n"):
            yield f"--{name}: found {value!r}, expected a string that is not empty, without tabs and line ends"
    if flags.pre_tokenized and not flags.raw_text:
        yield "--pre_tokenized: found no --raw_text, expected both"
