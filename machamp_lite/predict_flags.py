"""The flags of the predict command."""

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from machamp_lite.errors import ConfigError, shorten
from machamp_lite.flags import Parser, add_precision

# Of sentences and labels.
LARGEST_NUMBER = 2**31 - 1


def _predict_parser() -> Parser:
    parser = Parser(
        prog="predict.py", allow_abbrev=False, description="Writes the labels of a trained model into files."
    )
    parser.add_argument("model", metavar="MODEL", help="a run folder, or its model folder")
    parser.add_argument("files", nargs="+", metavar="INPUT OUTPUT", help="pairs of files")
    parser.add_argument(
        "--dataset",
        help="the dataset whose columns and tasks the input has (default: the one that the input looks like)",
    )
    parser.add_argument(
        "--device", type=int, help="a GPU's number, -1 for the CPU (default: a GPU if there is one)"
    )
    parser.add_argument(
        "--batch_size", type=int, default=32, metavar="N", help="sentences a batch (default: 32)"
    )
    parser.add_argument("--max_sents", type=int, metavar="N", help="predict only the first N sentences")
    parser.add_argument(
        "--raw_text",
        action="store_true",
        help="the input is one sentence or text a line; a task of type tok splits it into words, else spaces do",
    )
    parser.add_argument(
        "--pre_tokenized",
        action="store_true",
        help="with --raw_text, words are split by spaces although there is a task of type tok",
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
        help="stands between a label and its probability (default: =)",
    )
    parser.add_argument("--sep", default="|", metavar="STRING", help="stands between labels (default: |)")
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
    if len(flags.files) % 2:
        raise ConfigError(
            f"predict.py: found no OUTPUT for {flags.files[-1]}, expected pairs of INPUT OUTPUT"
        )
    faults = list(_value_faults(flags))
    flags.pairs = list(zip(flags.files[::2], flags.files[1::2], strict=True))
    faults += [fault for source, target in flags.pairs for fault in _file_faults(source, target)]
    faults += [
        f"{target}: is the output of two files"
        for target, times in Counter(flags.files[1::2]).items()
        if times > 1
    ]
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


def _file_faults(source: str, target: str) -> Iterator[str]:
    """What is wrong with the paths of one input and its output."""
    for path in (source, target):
        if os.path.isdir(path):
            yield f"{path}: is a folder, expected a file"
        elif os.path.exists(path) and not os.path.isfile(path):
            # A device would be replaced by the output, and a pipe might never be written to.
            yield f"{path}: is a pipe or a device, expected a file"
    if not os.path.exists(source):
        yield f"{source}: no such file"
    elif os.path.exists(target) and os.path.samefile(source, target):
        yield f"{target}: is the input itself, expected another file"
    if not Path(target).parent.is_dir():
        yield f"{target}: the folder {Path(target).parent} does not exist"
