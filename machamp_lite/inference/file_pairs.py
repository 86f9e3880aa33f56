"""Checks the inputs and outputs of a prediction before it starts, so that no file of the user is lost."""

import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from machamp_lite.data.formats import is_dataset_folder
from machamp_lite.errors import ConfigError, nearest_file
from machamp_lite.files.atomic import is_read_only
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.streams import AnyPath, descriptor_of, is_standard, is_stream

Pair = tuple[AnyPath, AnyPath]
SCORES_ENDING = ".eval"
# Files of a run folder that run.json does not list.
RUN_MARK = "run.json"
RUN_NAMES = {"model", "epochs", "state", RUN_MARK, "run.lock", "log.txt", "metrics.json", "history.json"}
# The metrics of single epochs have names that begin so.
EPOCH_METRICS = "metrics_epoch_"
# Keys of a task in a scores file, in addition to its metrics.
SCORES_KEYS = {
    "calibration",
    "labels",
    "optimization_metrics",
    "scored",
    "scored_words",
    "skipped",
    "skipped_words",
    "ud",
}
# Identifies a file: two paths of the same file have the same key.
_Key = tuple[object, ...]


class _Fault(NamedTuple):
    """What is wrong with a path; None for an empty one."""

    path: AnyPath | None
    reason: str

    def __str__(self) -> str:
        return self.reason if self.path is None else f"{self.path}: {self.reason}"


def check_pairs(pairs: Sequence[Pair], *, model_folder: AnyPath | None = None) -> None:
    """Raises ``ConfigError`` for inputs and outputs that are neither files nor streams, or if a file would be lost.

    An output and its scores file must not be an input or in one, the output of another pair, in the model folder, a
    file of a run, or read-only. An existing scores file must have been written by an earlier prediction.
    """
    outputs = [path for _, target in pairs for path in (target, scores_path(target)) if path is not None]
    faults = [fault for pair in pairs for fault in _pair_faults(*pair)]
    overlaps = list(_overlaps(pairs))
    faults += overlaps
    overlapping = {str(fault.path) for fault in overlaps}
    for _, target in pairs:
        path = scores_path(target)
        if path is not None and path not in overlapping:
            faults += _scores_faults(path, target)
    if model_folder is not None:
        faults += [
            _Fault(path, f"is in the folder of the model, {model_folder}, expected a path outside it")
            for path in outputs
            if _is_inside(path, model_folder)
        ]
    faults += [
        _Fault(path, f"is in the folder {source}, which is an input; expected a path outside it")
        for path in outputs
        for source, _ in pairs
        if not is_standard(source) and os.path.isdir(source) and _is_inside(path, source)
    ]
    reported = {str(fault.path) for fault in faults}
    faults += [
        _Fault(path, f"is a file of the run in {folder}, expected another file")
        for path in outputs
        if str(path) not in reported and (folder := _run_of(path)) is not None
    ]
    if faults:
        raise ConfigError(dict.fromkeys(map(str, faults)))


def scores_path(target: AnyPath) -> str | None:
    """The path of the scores file of an output; None for a stream, which has no scores file."""
    return None if is_standard(target) or is_stream(target) else f"{os.fspath(target)}{SCORES_ENDING}"


def _pair_faults(source: AnyPath, target: AnyPath) -> Iterator[_Fault]:
    """The faults of one input and its output."""
    name_faults = [*_name_faults(source, target)]
    yield from name_faults
    if name_faults:
        return
    if is_standard(source):
        if sys.stdin is None:
            yield _Fault("standard input", "is closed, expected an input")
    elif os.path.isdir(source) and not is_dataset_folder(source):
        yield _Fault(source, "is a folder, expected a file")
    elif not _exists(source):
        yield _Fault(source, f"no such file{nearest_file(str(source))}")
    elif not (os.path.isfile(source) or os.path.isdir(source) or _can_be_spooled(source)):
        yield _Fault(source, "is a device or a socket, expected a file, a pipe, or - for standard input")
    if is_standard(target):
        if sys.stdout is None:
            yield _Fault("standard output", "is closed, expected an output")
    else:
        yield from _target_faults(target)


def _name_faults(*paths: AnyPath) -> Iterator[_Fault]:
    """The faults of names. For the system, ``file/`` is a folder; Python's pathlib drops the slash."""
    for path in paths:
        name = os.fspath(path)
        if not name.strip():
            yield _Fault(None, f"found the empty name {name!r}, expected a file")
        elif name.endswith(("/", "/.")) and not os.path.isdir(name):
            yield _Fault(name, "ends like the name of a folder, expected a file")


def _run_of(path: AnyPath) -> Path | None:
    """The folder of the run to which a file belongs; None for other files, including new ones in a run folder."""
    if is_standard(path) or is_stream(path):
        return None
    real = Path(os.path.realpath(path))
    for folder in real.parents:
        files = read_json_object(folder / RUN_MARK).get("files")
        name = real.relative_to(folder).parts[0]
        if isinstance(files, dict) and (name in files.keys() | RUN_NAMES or name.startswith(EPOCH_METRICS)):
            return folder
    return None


def _scores_faults(path: str, target: AnyPath) -> Iterator[_Fault]:
    """The faults of an existing scores file, which would be replaced."""
    if os.path.lexists(path):
        faults = [*_target_faults(path)]
        yield from faults
        if not faults and not is_scores_file(path):
            yield _Fault(path, f"was not written by a prediction; move it, or give another output than {target}")


def _target_faults(target: AnyPath) -> Iterator[_Fault]:
    if is_stream(target):
        return
    real = os.path.realpath(target)
    folder = os.path.dirname(real if os.path.islink(target) else target) or "."
    if os.path.islink(real):
        yield _Fault(target, "is a symbolic link that leads back to itself, expected a file")
    elif os.path.isdir(target):
        yield _Fault(target, "is a folder, expected a file")
    elif _exists(target) and not os.path.isfile(target):
        yield _Fault(target, "is a disk or a socket, expected a file")
    elif is_read_only(target):
        yield _Fault(target, f"is read-only; chmod u+w {target}, or give another output")
    elif not os.path.isdir(folder):
        yield _Fault(target, f"the folder {folder} does not exist")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield _Fault(target, f"cannot be written (no permission to write to the folder {folder})")


def _overlaps(pairs: Sequence[Pair]) -> Iterator[_Fault]:
    """The faults of outputs and scores files that are also inputs or other outputs, even under another name."""
    sources = [_identify(source, descriptor=0) for source, _ in pairs]
    targets = [_identify(target, descriptor=1) for _, target in pairs]
    inputs = {source.file: source.path for source in sources if source.file}
    outputs: dict[_Key, AnyPath] = {}
    for source, target in zip(sources, targets, strict=True):
        if target.file and target.file == source.file:
            yield _Fault(target.path, f"is the input itself{_other_name(source, target)}, expected another file")
        elif target.file in inputs:
            yield _Fault(target.path, f"is the input {inputs[target.file]} of another pair, expected another file")
        key = target.stream or target.file
        if key in outputs:
            other = "" if str(outputs[key]) == str(target.path) else f" ({outputs[key]})"
            yield _Fault(target.path, f"is the output of two files{other}")
        if key:
            outputs[key] = target.path
    streams: set[_Key] = set()
    for source in sources:
        if source.stream in streams:
            yield _Fault(source.path, "is the input of two outputs, but can be read only once")
        if source.stream:
            streams.add(source.stream)
    yield from _scores_overlaps(targets, inputs, outputs)


def _scores_overlaps(
    targets: Sequence["_Location"], inputs: Mapping[_Key, AnyPath], outputs: Mapping[_Key, AnyPath]
) -> Iterator[_Fault]:
    """Scores files that are inputs, outputs or the scores files of other outputs."""
    scores: dict[_Key, _Location] = {}
    for target in targets:
        path = scores_path(target.path)
        if path is None:
            continue
        key = _identify(path).file
        for what, files in (("input", inputs), ("output", outputs)):
            if key and key in files:
                reason = f"is the {what} {files[key]} and the scores file of {target.path}; give another output"
                yield _Fault(path, reason)
        if key and key in scores and scores[key].file != target.file:
            yield _Fault(path, f"is the scores file of {scores[key].path} and of {target.path}; give another output")
        if key:
            scores[key] = target


@dataclass(frozen=True, slots=True)
class _Location:
    """A path with the key of its file, and the key of its stream, which can be used only once."""

    path: AnyPath
    file: _Key | None = None
    stream: _Key | None = None


def _identify(path: AnyPath, *, descriptor: int | None = None) -> _Location:
    """The keys of a path, which need not exist; ``descriptor`` is that of ``-``."""
    opened = descriptor if is_standard(path) else descriptor_of(path)
    try:
        found = os.stat(path) if opened is None else os.fstat(opened)
    except (OSError, ValueError):
        return _Location(path, _key_of_new(path) if opened is None else None)
    key: _Key = (found.st_dev, found.st_ino)
    is_pipe = stat.S_ISFIFO(found.st_mode)
    # A terminal or /dev/null may be input and output at once.
    file = key if is_pipe or stat.S_ISREG(found.st_mode) else None
    if opened is not None:
        return _Location(path, file, ("descriptor", opened))
    return _Location(path, file, key if is_pipe else None)


def _key_of_new(path: AnyPath) -> _Key:
    """The key of a file that does not exist: the key of its folder, and its name."""
    real = os.path.realpath(path)
    try:
        folder = os.stat(os.path.dirname(real))
    except (OSError, ValueError):
        return (real,)
    return folder.st_dev, folder.st_ino, os.path.basename(real)


def _other_name(source: _Location, target: _Location) -> str:
    return "" if str(source.path) == str(target.path) else f" ({source.path})"


def _exists(path: AnyPath) -> bool:
    """Whether a path exists; False also for names that no file can have."""
    try:
        return os.path.exists(path)
    except ValueError:
        return False


def _can_be_spooled(source: AnyPath) -> bool:
    """Whether a stream ends; other devices, such as /dev/zero, do not."""
    mode = os.stat(source).st_mode
    return stat.S_ISFIFO(mode) or descriptor_of(source) is not None or os.path.samefile(source, os.devnull)


def _is_inside(path: AnyPath, folder: AnyPath) -> bool:
    if is_standard(path) or is_stream(path):
        return False
    return any(
        os.path.samefile(parent, folder) for parent in Path(os.path.realpath(path)).parents if parent.exists()
    )


def is_scores_file(path: AnyPath) -> bool:
    """Whether a file has the content of a scores file, and may therefore be replaced."""
    # Imported here, because --help does not need it.
    from machamp_lite.metrics import METRICS

    try:
        with open(path, encoding="utf-8") as file:
            content: Any = json.load(file)
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(content, dict):
        return False
    # In MaChAmp's format, the last key is the sum over tasks.
    tasks = [value for key, value in content.items() if key != "sum" or isinstance(value, dict)]
    return bool(tasks) and all(
        isinstance(task, dict)
        # Older versions did not write "scored".
        and task.keys() & {"scored", "labels", "optimization_metrics"}
        and task.keys() <= METRICS.keys() | SCORES_KEYS
        for task in tasks
    )
