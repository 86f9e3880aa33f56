"""Checksums of files, and reading small files with unknown content, to recognise files that this program wrote."""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open


def checksum(path: str | Path) -> str:
    """The checksum of a regular file; raises ``OSError`` for anything else."""
    if not os.path.isfile(path):
        raise OSError(f"{path} is not a regular file")
    with open(path, "rb") as file:
        # Three times as fast as SHA-256 on processors without SHA instructions.
        return hashlib.file_digest(file, "blake2b").hexdigest()


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, for comparison with a published one."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_of_text(text: str) -> str:
    """The checksum of a file with this text."""
    return hashlib.blake2b(text.encode()).hexdigest()


def is_regular_file(path: Path) -> bool:
    """Whether a path is a regular file and not a symbolic link to one."""
    return path.is_file() and not path.is_symlink()


def has_checksum(path: Path, checksums: Collection[Any]) -> bool:
    """Whether a path is a regular file with one of these checksums."""
    try:
        return is_regular_file(path) and checksum(path) in checksums
    except OSError:
        return False


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; empty if it has none, or for any other file."""
    if not is_regular_file(path):
        return {}
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError, ValueError):
        return {}


def read_any_json(path: Path) -> Any:
    """The JSON value in a regular file; None for any other file."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if is_regular_file(path) else None
    except (OSError, ValueError, RecursionError):
        return None


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a regular file; empty for any other file."""
    document = read_any_json(path)
    return document if isinstance(document, dict) else {}
