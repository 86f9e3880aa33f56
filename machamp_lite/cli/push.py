"""The commands that describe a model in a card, and push it to the Hugging Face hub."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.export import check_new_folder
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.parser import Parser
from machamp_lite.errors import ConfigError, check_empty_names, one_line

if TYPE_CHECKING:
    from machamp_lite.export.card_info import CardInfo


def card(arguments: Sequence[str] | None = None, *, prog: str = "card") -> int:
    """The card command; returns its exit code."""
    return run_command(lambda: _card(card_parser(prog).read(arguments)))


def push(arguments: Sequence[str] | None = None, *, prog: str = "push") -> int:
    """The push command; returns its exit code."""
    return run_command(lambda: _push(_push_flags(arguments, prog)))


def card_parser(prog: str) -> Parser:
    """The arguments of the card command."""
    parser = Parser(
        prog=prog,
        description="Prints the model card of a run, in the format of the Hugging Face hub.",
        removed={},
        examples=["runs/first --language en --license cc-by-sa-4.0 > README.md"],
    )
    parser.add_argument("model", metavar="MODEL", help="a run folder, or its model folder")
    parser.add_argument("--name", metavar="NAME", help="the name of the model (default: that of its folder)")
    _add_facts(parser)
    return parser


def push_parser(prog: str) -> Parser:
    """The arguments of the push command."""
    parser = Parser(
        prog=prog,
        description="Pushes a model to the Hugging Face hub: its files, a model card, and its configs without paths.",
        removed={},
        examples=[
            "runs/first me/my-model --private --language en --license cc-by-sa-4.0",
            "runs/first me/my-model --dry_run pushed",
        ],
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="a run folder, or its model folder")
    add("repo", metavar="USER/NAME", help="the name of the model on the hub")
    add("--private", action="store_true", help="create a private repository")
    _add_facts(parser)
    add("--with_predictions", action="store_true", help="also push the predictions of dev files, with their text")
    add("--dry_run", metavar="DIR", help="write the files to this folder, and push nothing")
    return parser


def _add_facts(parser: Parser) -> None:
    parser.add_argument("--language", metavar="CODE", action="append", default=[],
        help="a language of the model, its code in ISO 639, such as en or deu; may be repeated")  # fmt: skip
    parser.add_argument("--license", metavar="ID",
        help="the licence of the model, its identifier in SPDX in lower case, such as cc-by-sa-4.0")  # fmt: skip


def _facts(flags: argparse.Namespace, name: str) -> "CardInfo":
    from machamp_lite.export.card_info import CardInfo

    return CardInfo(name=name, languages=flags.language, license=flags.license)


def _card(flags: argparse.Namespace) -> int:
    check_empty_names({"--name": flags.name, "--license": flags.license})
    set_up_logging()
    from machamp_lite.model.model_folder import find_model_folder

    folder = find_model_folder(flags.model)
    facts = _facts(flags, flags.name or (folder.parent if folder.name == "model" else folder).resolve().name)
    # It imports torch.
    from machamp_lite.export.card import card_text

    print(card_text(flags.model, facts), end="")
    return 0


def _push_flags(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    flags = push_parser(prog).read(arguments)
    check_empty_names({"--license": flags.license, "--dry_run": flags.dry_run})
    if flags.repo.count("/") != 1 or not all(flags.repo.split("/")):
        raise ConfigError(f"{prog}: found '{flags.repo}', expected USER/NAME, the name of the model on the hub")
    if flags.dry_run is not None:
        check_new_folder(Path(flags.dry_run))
    return flags


def _push(flags: argparse.Namespace) -> int:
    set_up_logging()
    from machamp_lite.model.model_folder import find_model_folder

    find_model_folder(flags.model)
    facts = _facts(flags, flags.repo)
    # It imports torch.
    from machamp_lite.export.hub import Push, push_model, write_files

    settings = Push(
        repo=flags.repo,
        card=facts,
        private=flags.private,
        with_predictions=flags.with_predictions,
    )
    if flags.dry_run is not None:
        for name in write_files(flags.model, Path(flags.dry_run), settings):
            print(one_line(name))
        print(f"written: {one_line(flags.dry_run)}; nothing was pushed")
        return 0
    print(f"pushed: {push_model(flags.model, settings)}")
    return 0
