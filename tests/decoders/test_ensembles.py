"""An ensemble predicts by the average probabilities of its members."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from task_type_cases import CASES, IDS, Case, Setting

from machamp_lite.cli import main as cli
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders.confidence import Confidence
from machamp_lite.decoders.multiseq import MultiSeq
from machamp_lite.errors import ConfigError
from machamp_lite.inference.engine import Decoded, rank_labels, score_batches
from machamp_lite.model.ensemble import Ensemble
from machamp_lite.model.multitask_model import Model

AVERAGED = [case for case in CASES if case.task_type != "seq2seq"]
NAMES = [name for case, name in zip(CASES, IDS, strict=True) if case in AVERAGED]
every_case = pytest.mark.parametrize("case", AVERAGED, ids=NAMES)


def members(make: Callable[..., Setting], case: Case, number: int, *, temperatures: bool = True) -> list[Model]:
    """Models of a case with random heads, which differ, and with other temperatures."""
    models = []
    for seed in range(number):
        model = make(case).model
        torch.manual_seed(seed)
        decoder = model.decoder(case.task)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.add_(torch.randn_like(parameter))
        if temperatures and hasattr(decoder.config, "temperature"):
            decoder.config = decoder.config.model_copy(update={"temperature": 1.5 + seed})
        models.append(model)
    return models


def examples_of(model: Model, path: Path) -> list[Example]:
    config = model.config.datasets["DATA"]
    reader = DatasetReader(name="DATA", config=config, tokenizer=model.tokenizer, vocabularies=model.vocabularies)
    return list(reader.read_evaluation(path))


def predictions(model: Model, path: Path, task: str, *, batch_size: int = 32) -> list[Decoded]:
    top_n = {task: 3} if model.decoder(task).Options.supports_top_k else {}
    found = rank_labels(model, examples_of(model, path), top_n=top_n, confidence=True, batch_size=batch_size)
    return [prediction for _, prediction in sorted(found, key=lambda pair: pair[0])]


def plain(value: Any, number: Callable[[float], Any] = float) -> Any:
    """A prediction as lists and numbers."""
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    if isinstance(value, float):
        return number(value)
    if isinstance(value, dict):
        return {key: plain(one, number) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, number) for one in value]
    return plain([value.log_probability, *value.spans], number) if isinstance(value, Confidence) else value


def rounded(value: Any) -> Any:
    """As ``plain``, equal to other predictions up to rounding."""
    return plain(value, lambda one: pytest.approx(one, rel=1e-3, abs=1e-4))


@every_case
def test_an_ensemble_of_equal_models_predicts_like_one(case: Case, make: Callable[..., Setting]) -> None:
    (model,) = members(make, case, 1)
    path = make(case).path
    expected = predictions(model, path, case.task)
    for number in (1, 2):
        found = predictions(Ensemble([model] * number), path, case.task)
        assert plain(found) == rounded(expected)


@every_case
def test_a_batch_gives_the_same_as_its_sentences_alone(case: Case, make: Callable[..., Setting]) -> None:
    models = members(make, case, 3)
    path = make(case).path
    ensemble = Ensemble(models)
    alone = predictions(ensemble, path, case.task, batch_size=1)
    assert plain(predictions(ensemble, path, case.task)) == rounded(alone)
    # Members keep their own heads.
    assert plain(predictions(models[0], path, case.task)) == rounded(
        predictions(members(make, case, 1)[0], path, case.task)
    )


def scores_of(model: Model, path: Path, task: str) -> Any:
    ((_, _, scores),) = score_batches(model, examples_of(model, path), batch_size=32)
    return scores[task]


LABELS = ("seq", "classification", "string2string", "multiseq", "multiclas")


@pytest.mark.parametrize(
    "case",
    [case for case in AVERAGED if case.task_type in LABELS],
    ids=[name for case, name in zip(AVERAGED, NAMES, strict=True) if case.task_type in LABELS],
)
def test_probabilities_are_the_mean_of_those_of_the_members(case: Case, make: Callable[..., Setting]) -> None:
    models = members(make, case, 3)
    path = make(case).path
    expected = []
    for model in models:
        decoder = model.decoder(case.task)
        scaled = scores_of(model, path, case.task) / decoder.temperature
        expected.append(scaled.sigmoid() if isinstance(decoder, MultiSeq) else scaled.softmax(-1))
    ensemble = Ensemble(models)
    decoder = ensemble.decoder(case.task)
    found = decoder.log_probabilities(scores_of(ensemble, path, case.task)).exp()
    torch.testing.assert_close(found, torch.stack(expected).mean(0), rtol=1e-4, atol=1e-5)


def test_paths_and_trees_are_scored_by_their_mean_log_probability(make: Callable[..., Setting]) -> None:
    for case in AVERAGED:
        if case.task_type not in ("seq_bio", "dependency"):
            continue
        models = members(make, case, 2)
        path = make(case).path
        ensemble = Ensemble(models)
        temperature = ensemble.decoder(case.task).temperature
        assert temperature == 2.0
        if case.task_type == "dependency":
            arcs = [scores_of(model, path, case.task).arcs / model.decoder(case.task).temperature for model in models]
            found = scores_of(ensemble, path, case.task).arcs / temperature
            torch.testing.assert_close(found, (arcs[0] + arcs[1]) / 2)
            continue
        lengths = scores_of(ensemble, path, case.task).lengths
        paths = torch.zeros(len(lengths), int(lengths.max()), dtype=torch.long)
        values = []
        for model in (*models, ensemble):
            decoder: Any = model.decoder(case.task)
            scores = scores_of(model, path, case.task)
            scaled = (scores.emissions / decoder.temperature, paths, lengths)
            with torch.no_grad():
                decoder.crf.transitions.div_(decoder.temperature)
                decoder.crf.ends.div_(decoder.temperature)
                values.append(decoder.crf.score(*scaled))
        torch.testing.assert_close(values[2], (values[0] + values[1]) / 2, rtol=1e-4, atol=1e-4)


def test_numbers_and_distributions_are_averaged(make: Callable[..., Setting]) -> None:
    for case in AVERAGED:
        if case.task_type in ("regression", "probdistr"):
            models = members(make, case, 2)
            path = make(case).path
            one, two, both = (
                [found.labels[case.task][0] for found in predictions(model, path, case.task)]
                for model in (*models, Ensemble(models))
            )
            for first, second, mean in zip(one, two, both, strict=True):
                if isinstance(mean, float):
                    first, second, mean = [first], [second], [mean]
                assert all(
                    math.isclose(c, (a + b) / 2, rel_tol=1e-3, abs_tol=1e-4)
                    for a, b, c in zip(first, second, mean, strict=True)
                )


def test_models_that_do_not_fit_are_refused(make: Callable[..., Setting]) -> None:
    seq, sentence = (next(case for case in CASES if case.task_type == kind) for kind in ("seq", "classification"))
    (one,), (other,) = (members(make, case, 1) for case in (seq, sentence))
    with pytest.raises(ConfigError, match="found other datasets or tasks"):
        Ensemble([one, other])
    (other,) = members(make, seq, 1)
    other.vocabularies[seq.task].labels.reverse()
    with pytest.raises(ConfigError, match=r"task 'task': found the same labels in another order than in .* --seeds"):
        Ensemble([one, other])
    (other,) = members(make, seq, 1)
    other.vocabularies[seq.task].labels[0] = "NEW"
    with pytest.raises(ConfigError, match=r"found other labels \(with NEW, without DET\) than in .* --seeds"):
        Ensemble([one, other])
    text = next(case for case in CASES if case.task_type == "seq2seq")
    with pytest.raises(ConfigError, match="models of type seq2seq cannot predict as an ensemble"):
        Ensemble([make(text).model])


def test_a_group_of_runs_predicts_as_an_ensemble(
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    tiny_params: str,
    treebank: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    group, output = tmp_path / "group", tmp_path / "out.conllu"
    flags = ["--parameters_config", tiny_params, "--device", "-1", "--set", "training.num_epochs=1"]
    given = ["--dataset_configs", write_config(D=dataset), *flags, "--model_dir", str(group)]
    assert cli.train([*given, "--seeds", "1", "2"]) == 0
    assert cli.predict([str(group), str(treebank), str(output), "--device", "-1", "--topn", "2", "--confidence"]) == 0
    assert json.loads((tmp_path / "out.conllu.eval").read_text()).keys() == dataset["tasks"].keys()
    assert "=0." in output.read_text() and "# upos_confidence = " in output.read_text()
    capsys.readouterr()
    assert cli.predict([str(group), str(treebank), str(group / "out"), "--device", "-1"]) == 2
    assert "is in the folder of the model" in capsys.readouterr().err
    summary = json.loads((group / "summary.json").read_text())
    (group / "summary.json").write_text(json.dumps({**summary, "runs": None}))
    assert cli.predict([str(group), str(treebank), str(output)]) == 2
    assert "found runs that are not finished" in capsys.readouterr().err
