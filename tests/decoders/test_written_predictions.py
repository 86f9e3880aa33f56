"""Files of predictions have the scores that prediction itself has printed, for every task type."""

from collections.abc import Callable
from pathlib import Path

import pytest
from task_type_cases import Case, Setting, every_case

from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.inference.predicted_scores import score_predictions
from machamp_lite.inference.predictor import predict_file


@every_case
def test_written_predictions_have_the_scores_of_the_prediction(
    make: Callable[..., Setting], case: Case, tmp_path: Path
) -> None:
    setting = make(case)
    config = setting.model.config.datasets["DATA"]
    # Predictions of masked text are not written, those of raw text only if it had no words before.
    if config.tasks[case.task].input_type in ("masked", "raw"):
        return
    expected = MetricTracker(config.tasks)
    predict_file(setting.model, setting.path, tmp_path / "out", tracker=expected)
    found = score_predictions(config, gold=setting.path, predicted=tmp_path / "out")
    # Numbers are rounded when they are written.
    assert found.scores()[case.task] == pytest.approx(expected.scores()[case.task], abs=1e-2)
    assert found.counts() == expected.counts()
    assert found.label_scores_as_json() == expected.label_scores_as_json()
