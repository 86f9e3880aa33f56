"""The study of a search: who works on which trial, what is proposed, and what is pruned."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import children
import pytest

from machamp_lite.config.search_space import Choices, Dimension, Range, SearchSpace
from machamp_lite.errors import ConfigError
from machamp_lite.tuning import study as studies
from machamp_lite.tuning.study import JOURNAL, Study
from machamp_lite.tuning.trials import Trial

SPACE = SearchSpace(
    (
        Dimension("lr", Range(low=0.001, high=0.1, log=True)),
        Dimension("size", Range(low=8, high=60, step=8), is_whole=True),
        Dimension("rate", Range(low=0.1, high=0.75, step=0.2)),
        Dimension("weights", Choices(choices=[None, "sqrt", {"*": 2}])),
    ),
    {},
)


@pytest.fixture
def open_study(tmp_path: Path) -> Callable[..., Study]:
    def open_study(folder: str = ".", **options: Any) -> Study:
        (tmp_path / folder).mkdir(exist_ok=True)
        return Study(tmp_path / folder, SPACE, name="test", seed=options.pop("seed", 1), **options)

    return open_study


def score(trial: Trial) -> float:
    """A score that depends on the values only."""
    return trial.values["lr"] * trial.values["size"] + (trial.values["weights"] == "sqrt") if trial.values else 0.0


def work(study: Study, number: int, *, default: dict[str, Any] | None = None) -> list[Trial]:
    """Finishes trials until there is that number of them."""
    while (claim := study.claim(number, default=default)) is not None:
        study.finish(claim, "complete", score=score(claim.trial), seconds=1.0)
    return study.trials()


def test_the_first_trial_is_the_default_and_the_others_have_all_values(open_study: Callable[..., Study]) -> None:
    first, *others = work(open_study(), 12)
    assert first.is_default and first.values == {} and first.score == 0.0
    for trial in others:
        assert 0.001 <= trial.values["lr"] <= 0.1
        assert trial.values["size"] in range(8, 60, 8) and isinstance(trial.values["size"], int)
        assert trial.values["rate"] in (0.1, 0.3, 0.5, 0.7)
        assert trial.values["weights"] in (None, "sqrt", {"*": 2})
    assert [trial.number for trial in [first, *others]] == list(range(12))


def test_the_values_of_the_default_are_known_to_the_search_if_it_could_find_them(
    open_study: Callable[..., Study],
) -> None:
    values = {"lr": 0.05, "size": 8, "rate": 0.3, "weights": None}
    study = open_study()
    assert work(study, 9, default=values)[0].values == {}
    # All nine trials count.
    assert study.importance().keys() == values.keys()


def test_an_interrupted_search_proposes_the_same_values(open_study: Callable[..., Study]) -> None:
    whole = work(open_study("whole"), 14)
    for number in (1, 5, 11, 14):
        interrupted = work(open_study("interrupted"), number)
    assert [trial.values for trial in interrupted] == [trial.values for trial in whole]
    other = work(open_study("other", seed=2), 14)
    assert other[1].values != whole[1].values


def test_a_trial_belongs_to_one_process_until_that_ends(open_study: Callable[..., Study], tmp_path: Path) -> None:
    study = open_study()
    work(study, 1)

    def claim_and_wait() -> int:
        claim = open_study().claim(9, default=None)
        assert claim is not None and claim.trial.number == 1
        (tmp_path / "claimed").touch()
        time.sleep(60)
        return 0

    child = children.start(claim_and_wait, tmp_path / "log")
    children.wait_for(child, until=(tmp_path / "claimed").exists)
    assert (tmp_path / "claimed").exists(), (tmp_path / "log").read_text()
    # While the other process lives, this one gets the next trial.
    claim = study.claim(9, default=None)
    assert claim is not None and (claim.trial.number, claim.is_resumed) == (2, False)
    study.finish(claim, "complete", score=1.0, seconds=1.0)
    values = study.trials()[1].values
    os.kill(child, signal.SIGKILL)
    children.wait_for(child)
    claim = study.claim(3, default=None)
    assert claim is not None and (claim.trial.number, claim.is_resumed) == (1, True)
    assert claim.trial.values == values and claim.trial.state == "running"
    study.finish(claim, "complete", score=1.0, seconds=1.0)
    assert study.claim(3, default=None) is None
    assert not list((tmp_path / "trials").glob("*.lock"))


def test_a_trial_without_all_its_values_is_replaced(
    open_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study()
    work(study, 2)
    # The process is killed while it gets the values.
    monkeypatch.setattr(study._study, "ask", lambda **options: type(study._study).ask(study._study))
    assert study._new_trial(None) == 2
    monkeypatch.undo()
    trials = work(study, 4)
    assert [trial.number for trial in trials] == [0, 1, 3, 4]


def report(study: Study, scores: list[float], *, num_epochs: int = 6, state: Any = "complete") -> int | None:
    """The epoch after which a new trial with these scores is pruned."""
    claim = study.claim(99, default=None)
    assert claim is not None
    pruned = None
    for epoch, one in enumerate(scores, start=1):
        study.report(claim.trial.number, epoch, one)
        should_prune = study.should_prune(claim.trial.number, epoch, num_epochs=num_epochs)
        # Optuna's pruners give numbers of numpy.
        assert isinstance(should_prune, bool)
        if pruned is None and should_prune:
            pruned = epoch
    study.finish(claim, "pruned" if pruned else state, score=scores[-1], seconds=1.0)
    return pruned


def test_trials_below_the_median_are_pruned_but_not_the_first_ones(open_study: Callable[..., Study]) -> None:
    study = open_study()
    for number in range(studies.TRIALS_BEFORE_PRUNING):
        # The default is never pruned, however bad it is.
        assert report(study, [0.1 * number] * 6) is None
    assert report(study, [0.0] * 6) == 2
    assert report(study, [0.0, 0.9, 0.9, 0.9, 0.9, 0.9]) is None
    # A trial is not stopped after its last epoch.
    assert report(study, [0.9, 0.9, 0.9, 0.9, 0.9, 0.0]) is None
    assert report(study, [0.0], num_epochs=1) is None
    assert report(open_study(prunes=False), [0.0] * 6) is None
    pruned = study.trials()[studies.TRIALS_BEFORE_PRUNING]
    assert (pruned.state, pruned.score) == ("pruned", 0.0)


def test_failed_trials_are_kept_with_their_reason(open_study: Callable[..., Study]) -> None:
    study = open_study()
    claim = study.claim(1, default=None)
    assert claim is not None
    trial = study.finish(claim, "failed", score=None, seconds=0.5, fault="the loss is nan")
    assert (trial.state, trial.fault, trial.score, trial.seconds) == ("failed", "the loss is nan", None, 0.5)
    assert study.claim(1, default=None) is None


def test_a_torn_line_of_the_journal_is_removed(open_study: Callable[..., Study], tmp_path: Path) -> None:
    before = work(open_study(), 3)
    with open(tmp_path / JOURNAL, "a") as file:
        file.write('{"op_code": 4, "worker')
    study = open_study()
    assert study.trials() == before
    assert len(work(study, 5)) == 5
    assert len(work(open_study(), 5)) == 5


def test_a_database_can_store_the_trials(open_study: Callable[..., Study], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tuning.db"
    before = work(open_study(storage=url), 3)
    assert open_study(storage=url).trials() == before
    assert not (tmp_path / JOURNAL).exists()
    with pytest.raises(ConfigError, match="--storage: cannot be opened"):
        open_study(storage="nothing://here")


def test_importance_finds_the_key_that_matters(open_study: Callable[..., Study]) -> None:
    study = open_study()
    assert study.importance() == {}
    work(study, studies.TRIALS_FOR_IMPORTANCE - 1)
    assert study.importance() == {}
    work(study, 30)
    importance = study.importance()
    assert sum(importance.values()) == pytest.approx(1)
    assert importance["weights"] + importance["lr"] > 0.7 and importance["rate"] < 0.2
