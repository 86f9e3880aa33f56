"""The study of a search: Optuna proposes the values of trials, stores their scores, and says which ones to prune.

A trial stays RUNNING in Optuna's storage until it is finished. The process that works on it holds the lock of a file,
so that a trial without a lock belongs to a process that was killed or stopped: the next free process continues it.
"""

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from machamp_lite.config.search_space import Choices, Dimension, SearchSpace, as_text
from machamp_lite.errors import ConfigError, first_line
from machamp_lite.files.locks import FileLock
from machamp_lite.tuning.trials import State, Trial

JOURNAL, LOCK, TRIALS = "optuna.log", "tuning.lock", "trials"
# Trials with random values before values are proposed by the scores so far.
RANDOM_TRIALS = 8
# Complete trials before others are compared with their median.
TRIALS_BEFORE_PRUNING = 4
# With fewer complete trials, the importance of keys would be chance.
TRIALS_FOR_IMPORTANCE = 8
_STATES: Mapping[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
}
_FAULT, _SECONDS = "fault", "seconds"


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial that this process works on. ``is_resumed`` says whether another process has begun it."""

    trial: Trial
    is_resumed: bool
    lock: FileLock


class Study:
    """The study of a tuning folder, which several processes may use.

    ``storage`` is a URL of a database for Optuna; by default, a file in the folder.
    """

    def __init__(
        self, folder: Path, space: SearchSpace, *, name: str, seed: int, storage: str | None = None, prunes: bool = True
    ) -> None:
        # Optuna logs each trial by itself, and warns of options that may change in another version.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.folder = folder
        self._lock = FileLock(folder / LOCK)
        self._dimensions = {dimension.key: dimension for dimension in space.dimensions}
        self._distributions = {key: _distribution(dimension) for key, dimension in self._dimensions.items()}
        self._prunes = prunes
        self._storage = _open_storage(folder, storage)
        self._study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            direction="maximize",
            sampler=_Sampler(self._distributions, seed),
            load_if_exists=True,
        )
        self._study_id = self._storage.get_study_id_from_name(name)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from claiming and finishing trials in the meantime."""
        with self._lock:
            yield

    def trials(self) -> list[Trial]:
        """All trials by number."""
        return [self._as_trial(trial) for trial in self._optuna_trials() if trial.state != TrialState.FAIL]

    def claim(self, num_trials: int, *, default: Mapping[str, Any] | None) -> Claim | None:
        """A trial that no other process works on; None if all are finished, or others are working on the last ones.

        Interrupted trials come first. A new trial has values for all keys, but for the very first, whose config is the
        default: ``default`` are its values if the search could find them.
        """
        with self._lock:
            for trial in self._optuna_trials():
                if trial.state == TrialState.RUNNING and (lock := self._try_lock(trial.number)):
                    if trial.number == 0 or trial.params.keys() == self._distributions.keys():
                        return Claim(self._as_trial(trial), True, lock)
                    # The process was killed while it got the values.
                    self._study.tell(trial.number, state=TrialState.FAIL)
                    self._remove(lock)
            if len(self.trials()) >= num_trials:
                return None
            number = self._new_trial(default)
            lock = self._try_lock(number)
            assert lock is not None
            return Claim(self._as_trial(self._optuna_trials()[number]), False, lock)

    def release(self, claim: Claim) -> None:
        """Releases an unfinished trial, so that the next process, or the next start of the search, continues it."""
        claim.lock.release()

    def report(self, number: int, epoch: int, score: float) -> None:
        """Stores the score of a trial after an epoch."""
        self._storage.set_trial_intermediate_value(self._trial_id(number), epoch, score)

    def should_prune(self, number: int, epoch: int, *, num_epochs: int) -> bool:
        """Whether a trial is worse after an epoch than the median of complete trials. The first is never pruned."""
        if not self._prunes or number == 0 or epoch >= num_epochs:
            return False
        trial = self._storage.get_trial(self._trial_id(number))
        # Against its type hint, Optuna's pruner returns a numpy.bool.
        return bool(self._pruner(num_epochs).prune(self._study, trial))

    def finish(
        self, claim: Claim, state: State, *, score: float | None, seconds: float, fault: str | None = None
    ) -> Trial:
        """Stores the result of a trial."""
        number = claim.trial.number
        with self._lock:
            self._storage.set_trial_user_attr(self._trial_id(number), _SECONDS, seconds)
            if fault is not None:
                self._storage.set_trial_user_attr(self._trial_id(number), _FAULT, fault)
            # For Optuna, a failed trial is a bad one too; it would ignore it otherwise.
            is_complete = state == "complete"
            optuna_state = TrialState.COMPLETE if is_complete else TrialState.PRUNED
            self._study.tell(number, score if is_complete else None, state=optuna_state)
            self._remove(claim.lock)
            return self._as_trial(self._optuna_trials()[number])

    def importance(self) -> dict[str, float]:
        """The share of each key in the variance of the scores (fANOVA, Hutter et al. 2014); empty for few trials."""
        keys = list(self._distributions)
        complete = [trial for trial in self._optuna_trials() if trial.state == TrialState.COMPLETE]
        scores = {trial.value for trial in complete if trial.params.keys() == self._distributions.keys()}
        if len(complete) < TRIALS_FOR_IMPORTANCE or len(scores) < 2 or len(keys) < 2:
            return {}
        return get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=0), params=keys)

    def _optuna_trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def _new_trial(self, default: Mapping[str, Any] | None) -> int:
        if self._optuna_trials():
            return self._study.ask(fixed_distributions=self._distributions).number
        params = {key: _encoded(self._dimensions[key], value) for key, value in (default or {}).items()}
        distributions = self._distributions if params else {}
        self._study.add_trial(create_trial(state=TrialState.RUNNING, params=params, distributions=distributions))
        return 0

    def _as_trial(self, trial: FrozenTrial) -> Trial:
        fault = trial.user_attrs.get(_FAULT)
        values = {} if trial.number == 0 else trial.params
        return Trial(
            number=trial.number,
            state=_STATES[trial.state] if fault is None else "failed",
            values={key: _decoded(self._dimensions[key], values[key]) for key in self._dimensions if key in values},
            score=trial.value if trial.value is not None else trial.intermediate_values.get(trial.last_step or 0),
            epochs=trial.last_step or 0,
            seconds=trial.user_attrs.get(_SECONDS, 0.0),
            fault=fault,
        )

    def _pruner(self, num_epochs: int) -> BasePruner:
        """Compares trials from the second epoch on, and not in their first third, when the learning rate is high."""
        if num_epochs < 2:
            return NopPruner()
        first = max(2, math.ceil(num_epochs / 3))
        return MedianPruner(n_startup_trials=TRIALS_BEFORE_PRUNING, n_warmup_steps=first)

    def _try_lock(self, number: int) -> FileLock | None:
        (self.folder / TRIALS).mkdir(exist_ok=True)
        lock = FileLock(self.folder / TRIALS / f"{number}.lock")
        return lock if lock.try_acquire() else None

    def _remove(self, lock: FileLock) -> None:
        lock.path.unlink(missing_ok=True)
        lock.release()


class _Sampler(BaseSampler):
    """The multivariate tree-structured Parzen estimator (Bergstra et al. 2011; Falkner et al. 2018).

    The values of a trial depend on the seed, its number and the trials so far, so that an interrupted search with one
    process continues as it would have without the interruption. Trials that others work on count as bad ones, so
    that several processes do not try the same values.
    """

    def __init__(self, distributions: dict[str, BaseDistribution], seed: int) -> None:
        self._distributions = distributions
        self._seed = seed
        self._tpe = self._make(0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._tpe = self._make(trial.number)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)

    def _make(self, number: int) -> TPESampler:
        seed = crc32(f"{self._seed} {number}".encode())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(
                seed=seed, multivariate=True, constant_liar=True, n_startup_trials=RANDOM_TRIALS
            )


def _open_storage(folder: Path, url: str | None) -> BaseStorage:
    if url is not None:
        try:
            return RDBStorage(url)
        except Exception as error:
            # SQLAlchemy and the drivers of databases have errors of many classes.
            raise ConfigError(f"--storage: cannot be opened ({first_line(error)})") from None
    path = folder / JOURNAL
    lock: Any = FileLock(folder / f"{JOURNAL}.lock")
    with lock:
        _remove_torn_line(path)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _remove_torn_line(path: Path) -> None:
    """Removes the end of a line that was being written when the machine stopped."""
    if path.exists():
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            with open(path, "r+b") as file:
                file.truncate(end)


def _distribution(dimension: Dimension) -> BaseDistribution:
    values = dimension.values
    if isinstance(values, Choices):
        # As texts, because databases cannot store lists and objects.
        return CategoricalDistribution([as_text(value) for value in values.choices])
    low, high, step = values.low, values.high, values.step
    if step is not None:
        # The last step, without the rounding errors of floats.
        high = float(f"{low + math.floor((high - low) / step + 1e-9) * step:.12g}")
    if dimension.is_whole:
        return IntDistribution(int(low), int(high), log=values.log, step=int(step or 1))
    return FloatDistribution(float(low), float(high), log=values.log, step=step)


def _encoded(dimension: Dimension, value: Any) -> Any:
    if isinstance(dimension.values, Choices):
        return as_text(value)
    return value if dimension.is_whole else float(value)


def _decoded(dimension: Dimension, value: Any) -> Any:
    if isinstance(dimension.values, Choices):
        return next(choice for choice in dimension.values.choices if as_text(choice) == value)
    return int(value) if dimension.is_whole else dimension.rounded(value)
