"""A search whose trials have scores without training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.config.loading import load_config
from machamp_lite.config.search_space import Choices, Dimension, Range, SearchSpace
from machamp_lite.tuning.objective import Objective
from machamp_lite.tuning.search import Search
from machamp_lite.tuning.study import Study

# Markup in values, which must stay text.
HOSTILE = "<img/src=x/onerror=alert(1)>"
SPACE = SearchSpace(
    (
        Dimension("training.optimizer.lr", Range(low=0.001, high=0.1, log=True)),
        Dimension("batching.batch_size", Range(low=8, high=64, step=8), is_whole=True),
        Dimension("D.tasks.same.ignore", Choices(choices=[None, HOSTILE])),
    ),
    {"D.tasks.same.ignore": {"choices": [None, HOSTILE]}},
)


@pytest.fixture
def make_search(
    tmp_path: Path, write_config: Callable[..., str], pair_dataset: dict[str, Any]
) -> Callable[[int], Search]:
    """A search with a number of finished trials, one of which is pruned and one has failed."""

    def make(number: int) -> Search:
        base = load_config([write_config(D=pair_dataset)])
        search = Search(
            folder=tmp_path,
            load=lambda overrides: base,
            base=base,
            space=SPACE,
            objective=Objective("same", "accuracy"),
            seed=1,
            num_trials=number,
        )
        search.study = Study(tmp_path, SPACE, name="test", seed=1)
        while (claim := search.study.claim(number, default=None)) is not None:
            trial = claim.trial.number
            search.study.report(trial, 1, 0.5 + trial / 100)
            state: Any = {3: "pruned", 4: "failed"}.get(trial, "complete")
            fault = f"the loss of {HOSTILE} is nan" if state == "failed" else None
            search.study.finish(claim, state, score=0.5 + trial / 100, seconds=1.0, fault=fault)
        return search

    return make
