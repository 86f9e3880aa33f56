"""The command that writes a model for other programs: its encoder, or the whole model as ONNX."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.parser import Parser
from machamp_lite.errors import ConfigError, check_empty_names, one_line


def export(arguments: Sequence[str] | None = None, *, prog: str = "export") -> int:
    """The export command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda: _export(_flags(given, prog), [*prog.split(), *given]))


def export_parser(prog: str) -> Parser:
    """The arguments of the export command."""
    parser = Parser(
        prog=prog,
        description="Writes a model for other programs: its encoder for transformers and sentence-transformers, or "
        "encoder and tasks as ONNX, for prediction without torch.",
        removed={},
        examples=["runs/first --encoder encoders/first", "runs/first --onnx onnx/first --int8"],
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="a run folder, its model folder, or the name of a model on the hub")
    add("--encoder", metavar="DIR", help="write the fine-tuned encoder and its tokenizer to this folder")
    add("--onnx", metavar="DIR", help="write the model as ONNX to this folder, for machamp_lite.load_onnx")
    add("--int8", action="store_true", help="with --onnx, weights of 8 bits: smaller and faster; some labels change")
    return parser


def _flags(arguments: Sequence[str], prog: str) -> argparse.Namespace:
    flags = export_parser(prog).read(arguments)
    check_empty_names({"--encoder": flags.encoder, "--onnx": flags.onnx})
    if flags.encoder is None and flags.onnx is None:
        raise ConfigError("--encoder: found neither it nor --onnx, expected a folder to write to")
    if flags.int8 and flags.onnx is None:
        raise ConfigError("--int8: has no effect without --onnx, expected both")
    folders = [Path(folder) for folder in (flags.encoder, flags.onnx) if folder is not None]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError(f"--onnx: found the same folder as --encoder ({flags.onnx}), expected another one")
    for folder in folders:
        check_new_folder(folder)
    return flags


def check_new_folder(folder: Path) -> None:
    """Raises ``ConfigError`` if a folder that is to be written cannot be created or has files in it."""
    if not folder.parent.is_dir():
        raise ConfigError(f"{folder}: the folder {folder.parent} does not exist")
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise ConfigError(f"{folder}: exists already, expected a new or an empty folder")


def _export(flags: argparse.Namespace, command: Sequence[str]) -> int:
    set_up_logging()
    from machamp_lite.model.hub import find_or_download
    from machamp_lite.model.model_folder import find_model_folder

    path = find_model_folder(find_or_download(flags.model))
    # They import torch.
    from machamp_lite.export.provenance import provenance_of
    from machamp_lite.model.serialization import load_model

    model = load_model(path)
    provenance = provenance_of(path, command=command)
    # Before adapters are merged into the weights, which both may do.
    if flags.encoder is not None:
        from machamp_lite.export.encoder import export_encoder

        pooling = export_encoder(model, Path(flags.encoder), provenance=provenance)
        print(f"written: {one_line(flags.encoder)} (sentence-transformers pool: {pooling})")
    if flags.onnx is not None:
        from machamp_lite.export.onnx_folder import export_onnx

        manifest = export_onnx(model, Path(flags.onnx), int8=flags.int8, provenance=provenance)
        tasks = ", ".join(map(one_line, manifest.tasks))
        print(f"written: {one_line(flags.onnx)} ({manifest.precision}; tasks: {tasks})")
    return 0
