"""A search in a folder, which several processes may share, and which can be interrupted and continued.

tuning.json           marks the folder: the search space, the score, and the checksums of the data
configs/              the default config
optuna.log            the trials, for Optuna, unless they are in a database
trials/NUMBER/        ordinary run folders, without a model but for the best
trials.json           all trials, and the importance of the keys
params.json           the params of the best trial; config.json has its datasets
report.html           the report
"""

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machamp_lite.config.error_messages import show
from machamp_lite.config.schema import Config
from machamp_lite.config.search_space import SearchSpace
from machamp_lite.errors import ConfigError
from machamp_lite.files.atomic import write_json
from machamp_lite.files.locks import FileLock
from machamp_lite.files.run_files import RUN
from machamp_lite.files.temporaries import remove_dead_temporaries, temporary_folder
from machamp_lite.training.run_folder import DATASET_CONFIGS, PARAMS_CONFIG, config_documents
from machamp_lite.training.run_group import RunGroup
from machamp_lite.tuning.objective import Objective
from machamp_lite.tuning.study import JOURNAL, LOCK, TRIALS, Claim, Study
from machamp_lite.tuning.trial_run import TrainTrial, TrialCallback, remove_models, run_trial
from machamp_lite.tuning.trials import Trial, ranking

logger = logging.getLogger(__name__)

TUNING, TRIALS_FILE, PARAMS, CONFIG = "tuning.json", "trials.json", "params.json", "config.json"
# A temporary folder for these files.
_RESULTS = "results"


@dataclass(kw_only=True)
class Search:
    """A search; ``start`` opens its ``study``.

    ``load`` gives the config with some overrides KEY=VALUE, and ``base`` is the one without.

    ``keep`` is the number of the best trials whose models are kept. ``has_dataset_keys`` says whether datasets differ
    from those in the user's files.
    """

    folder: Path
    load: Callable[[Sequence[str]], Config]
    base: Config
    space: SearchSpace
    objective: Objective
    seed: int
    num_trials: int
    keep: int = 1
    prunes: bool = True
    storage: str | None = None
    has_dataset_keys: bool = False
    study: Study = field(init=False)

    def check(self) -> dict[str, Any]:
        """The content of the marker, empty for a new folder; raises ``ConfigError`` for a folder of another search."""
        before = self._group(self.base).check()
        if before and (faults := list(self._differences(before))):
            raise ConfigError(faults)
        return before

    def start(self) -> None:
        """Opens the study and marks the folder; raises ``ConfigError`` if it has something else in it."""
        if not (self.folder / LOCK).exists():
            # Before anything is written there.
            self.check()
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / LOCK):
            # Again, because another process may have started another search in the meantime.
            before = self.check()
            name = before.get("study") or f"machamp_lite-{uuid.uuid4()}"
            options: dict[str, Any] = {"storage": self.storage, "prunes": self.prunes}
            # Before the folder is marked, because a database may not be there.
            self.study = Study(self.folder, self.space, name=name, seed=self.seed, **options)
            self._group(self.base).start(study=name, **self._conditions())
        if not self.study.trials() and any((self.folder / TRIALS).glob(f"*/{RUN}")):
            fault = "has the folders of trials, but Optuna's storage has no trials"
            raise ConfigError(f"{self.folder}: {fault}; expected another --dir")

    def run(self, train: TrainTrial) -> None:
        """Works on trials until all are finished, or other processes are working on the last ones."""
        default = self.space.values_in(self.base)
        while (claim := self.study.claim(self.num_trials, default=default)) is not None:
            try:
                trial = self._run_trial(claim, train)
            except BaseException:
                self.study.release(claim)
                raise
            logger.info("%s", self.describe(trial))
            self.settle()

    def describe(self, trial: Trial) -> str:
        """One line about a finished trial."""
        names = self.space.names()
        values = ", ".join(f"{names[key]} {show(value)}" for key, value in trial.values.items()) or "the default"
        states = {"complete": "", "pruned": f"pruned after epoch {trial.epochs}"}
        state = states.get(trial.state, f"failed: {trial.fault}")
        best = ranking(self.study.trials())[:1]
        endings = [f"; best: {self.objective.as_text(one.score)} of trial {one.number}" for one in best]
        result = ", ".join(filter(None, [self.objective.as_text(trial.score), state]))
        return f"trial {trial.number} of {self.num_trials} ({values}): {result}{''.join(endings)}"

    def settle(self) -> None:
        """Writes the results so far, and removes the models of trials that are not among the best."""
        with self.study.locked():
            trials = self.study.trials()
            best = ranking(trials)
            kept = {trial.number for trial in best[: self.keep]}
            for trial in trials:
                if trial.state != "running" and trial.number not in kept:
                    remove_models(self.trial_folder(trial))
            importance = self.study.importance()
            document = {"score": self.objective.name, "trials": [trial.as_json() for trial in trials]}
            files: dict[str, Any] = {TRIALS_FILE: {**document, "importance": importance}}
            if best:
                found = config_documents(self.load(self.space.overrides(best[0].values)))
                files[PARAMS] = found[PARAMS_CONFIG]
                if self.has_dataset_keys:
                    files[CONFIG] = found[DATASET_CONFIGS]
            remove_dead_temporaries(self.folder, [_RESULTS])
            with temporary_folder(self.folder / _RESULTS) as folder:
                for name, content in files.items():
                    write_json(folder / name, content)
                self._group(self.base).replace_outputs([folder / name for name in files])

    def trial_folder(self, trial: Trial) -> Path:
        """The run folder of a trial."""
        return self.folder / TRIALS / str(trial.number)

    def _run_trial(self, claim: Claim, train: TrainTrial) -> Trial:
        # The files of the config and of the data must stay the same.
        self._group(self.load(())).check()
        number = claim.trial.number
        try:
            config = _as_trial(self.load(self.space.overrides(claim.trial.values)))
        except ConfigError as error:
            # Values that are valid alone, but not together.
            return self.study.finish(claim, "failed", score=None, seconds=0.0, fault=error.faults[0])
        callback = TrialCallback(self.study, number, self.objective)
        logger.info("trial %d of %d", number, self.num_trials)
        result = run_trial(config, self.trial_folder(claim.trial), callback, train, is_resumed=claim.is_resumed)
        return self.study.finish(
            claim, result.state, score=result.score, seconds=result.seconds, fault=result.fault
        )

    def _group(self, base: Config) -> RunGroup:
        return RunGroup(
            folder=self.folder,
            configs={f"{TRIALS}/0": base},
            marker=TUNING,
            command="tune",
            base=base,
            flag="--dir",
            own_files=frozenset({LOCK, JOURNAL, f"{JOURNAL}.lock"}),
        )

    def _conditions(self) -> dict[str, Any]:
        space = dict(self.space.document)
        return {"space": space, "score": self.objective.name, "seed": self.seed, "storage": self.storage}

    def _differences(self, before: Mapping[str, Any]) -> Iterator[str]:
        """A line for each difference from the search that was started in the folder."""
        now = self._conditions()
        pairs = {name: (before.get(name), now[name]) for name in ("score", "seed", "storage")}
        keys = {**before.get("space", {}), **now["space"]}
        pairs |= {f"space: {key}": (before.get("space", {}).get(key), now["space"].get(key)) for key in keys}
        for name, (old, new) in pairs.items():
            if old != new:
                shown = ["nothing" if value is None else show(value) for value in (new, old)]
                yield (
                    f"{self.folder}: {name}: found {shown[0]}, expected {shown[1]}, with which the search was started, "
                    "or another --dir"
                )


def _as_trial(config: Config) -> Config:
    """The config of a trial, which writes no report of its own."""
    training = config.params.training.model_copy(update={"report": False})
    return config.model_copy(update={"params": config.params.model_copy(update={"training": training})})
