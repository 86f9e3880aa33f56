"""A group of runs: run folders in one folder. Finished runs are kept, interrupted ones are resumed.

A JSON file marks the folder. It has the checksums of the data, so that all runs of a group are trained on the same.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machamp_lite.config.schema import Config
from machamp_lite.dataloading.datasets import data_files, path_checksum
from machamp_lite.errors import ConfigError, TrainingError
from machamp_lite.files.atomic import write_json
from machamp_lite.files.checksums import checksum, has_checksum, read_json_object
from machamp_lite.files.run_files import GROUP_CONFIGS, STATE, STATE_FILE
from machamp_lite.files.temporaries import is_temporary
from machamp_lite.model.model_folder import is_complete_model
from machamp_lite.training import run_folder
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes
from machamp_lite.training.resume_checks import changes

logger = logging.getLogger(__name__)

GROUP_FORMAT = 1
# Trains one run, from its config, its folder, and whether it is resumed; if not, the folder is overwritten.
TrainRun = Callable[[Config, Path, bool], None]


@dataclass(frozen=True, kw_only=True)
class RunGroup:
    """The runs of a group: the config of each one by the path of its folder in ``folder``.

    ``marker`` is the name of the JSON file that marks the folder, ``command`` the one that made it, for messages.
    ``inputs`` are further files that must stay the same. ``base`` is the config from which all are made, if there is
    one: the folder keeps it, so that the group can be resumed. ``flag`` names the folder, which may have ``own_files``
    before it is marked.
    """

    folder: Path
    configs: Mapping[str, Config]
    marker: str
    command: str
    inputs: Sequence[Path] = ()
    base: Config | None = None
    flag: str = "--model_dir"
    own_files: frozenset[str] = frozenset()

    def check(self) -> dict[str, Any]:
        """The content of the marker; empty for a new folder.

        Raises ``ConfigError`` if the folder contains something else, or runs with another config or other data.
        """
        before, now = read_json_object(self.folder / self.marker), self._checksums()
        if before.get("format") != GROUP_FORMAT:
            if self.folder.exists() and not self._is_new():
                raise ConfigError(f"{self.folder}: is not a folder of {self.command}; expected a new or empty one")
            return {}
        # Files that are missing are written again.
        changed = [path for path, old in before.get("data", {}).items() if old and now.get(path, old) not in (old, "")]
        if changed:
            raise ConfigError(
                f"{path}: has changed since {self.folder} was started; expected another {self.flag}" for path in changed
            )
        configs = self.configs if self.base is None else {GROUP_CONFIGS: self.base}
        faults = [line for name, config in configs.items() for line in _config_faults(config, self.folder / name)]
        if faults:
            raise ConfigError(faults)
        return before

    def start(self, **document: Any) -> None:
        """Checks the folder and marks it; the marker gets the keys of ``document``."""
        before = self.check()
        self.folder.mkdir(parents=True, exist_ok=True)
        data = {**before.get("data", {}), **self._checksums()}
        write_json(self.folder / self.marker, {**before, "format": GROUP_FORMAT, **document, "data": data})
        if self.base is not None:
            (self.folder / GROUP_CONFIGS).mkdir(exist_ok=True)
            for name, content in run_folder.config_documents(self.base).items():
                write_json(self.folder / GROUP_CONFIGS / name, content)

    def write(self, **document: Any) -> None:
        """Adds keys to the marker."""
        write_json(self.folder / self.marker, {**read_json_object(self.folder / self.marker), **document})

    def replace_outputs(self, files: Sequence[Path]) -> None:
        """Moves files into the folder, and records their checksums; raises ``TrainingError`` for files of others."""
        recorded = read_json_object(self.folder / self.marker).get("outputs", {})
        outputs = {}
        for path in files:
            target = self.folder / path.name
            own = [old for old in recorded.get(path.name, []) if has_checksum(target, (old,))]
            if os.path.lexists(target) and not own:
                raise TrainingError(f"{target}: was written by something else; move it out of the folder")
            outputs[path.name] = list(dict.fromkeys([*own, checksum(path)]))
        self.write(outputs=outputs)
        for path in files:
            os.replace(path, self.folder / path.name)

    def train(self, train_run: TrainRun, *, processes: Processes = SINGLE_PROCESS) -> None:
        """Trains all runs that are not finished."""
        for number, (name, config) in enumerate(self.configs.items(), start=1):
            folder = self.folder / name
            # Asked once, because the main process writes there.
            was_finished, has_state = processes.broadcast_object(
                [is_finished(folder), (folder / STATE / STATE_FILE).exists()]
            )
            title = f"run {number} of {len(self.configs)}, {name}"
            if was_finished:
                logger.info("%s: is finished", title)
            else:
                logger.info("%s", title)
                train_run(config, folder, has_state)

    def _is_new(self) -> bool:
        if not self.folder.is_dir():
            return False
        return self.own_files.issuperset(path.name for path in self.folder.iterdir() if not is_temporary(path))

    def _checksums(self) -> dict[str, str]:
        paths = [*map(str, self.inputs), *(path for config in self.configs.values() for path in data_files(config))]
        return {path: path_checksum(path) for path in dict.fromkeys(paths)}


def with_seed(config: Config, seed: int) -> Config:
    """The config with another random seed."""
    return config.model_copy(update={"params": config.params.model_copy(update={"random_seed": seed})})


def is_finished(folder: Path) -> bool:
    """Whether a folder has a run that has ended, with its model."""
    has_state = (folder / run_folder.STATE).exists()
    return (folder / run_folder.HISTORY).exists() and not has_state and is_complete_model(folder / run_folder.MODEL)


def _config_faults(config: Config, folder: Path) -> Iterator[str]:
    """A line for each key in which the config of an earlier run differs."""
    now = json.loads(json.dumps(run_folder.config_documents(config)))
    saved = {name: read_json_object(folder / name) for name in now}
    if all(saved.values()):
        nothing: dict[str, Any] = {"versions": {}, "data": {}}
        yield from changes({**nothing, "configs": saved}, {**nothing, "configs": now}, folder=folder)
