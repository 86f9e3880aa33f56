"""What is predicted over HTTP is what the model predicts in memory and in files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_server import LiveServer, serving, together

import machamp_lite
from machamp_lite.errors import ConfigError
from machamp_lite.serving.limits import Limits
from machamp_lite.serving.served_model import ServedModel, model_names

SENTENCES = [["Anna", "reads", "books", "."], ["Run"], ["The", "old", "dogs", "sleep", "."], ["Who", "ran", "?"]]


@pytest.fixture(scope="module")
def models(runs: Path) -> dict[str, Any]:
    return {name: machamp_lite.load(runs / name, device="cpu") for name in ("words", "pairs")}


@pytest.fixture(scope="module")
def server(models: dict[str, Any]) -> Iterator[LiveServer]:
    with serving(*(ServedModel(name, model) for name, model in models.items()), max_batch=4) as running:
        yield running


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("words", {"text": "Anna reads books. She doesn't run."}),
        ("words", {"texts": ["Anna reads books.", "Run", " "]}),
        ("words", {"words": SENTENCES[0]}),
        ("words", {"sentences": SENTENCES * 3}),
        ("words", {"sentences": SENTENCES, "top_k": 2, "dataset": "WORDS"}),
        ("words", {"sentences": SENTENCES, "tasks": ["upos", "tree"]}),
        ("pairs", {"words": ["a dog sleeps", "the dog rests"]}),
        ("pairs", {"sentences": [["a dog", "b"], ["c", "d"]], "top_k": 2}),
    ],
    ids=str,
)
def test_a_prediction_is_that_of_the_model(
    server: LiveServer, models: dict[str, Any], model: str, body: dict[str, Any]
) -> None:
    status, found, _ = server.predict(model=model, **body)
    assert status == 200, found
    ((kind, value), *_) = body.items()
    inputs = value if kind in ("texts", "sentences") else [value]
    options = {name: body.get(name) for name in ("dataset", "tasks", "top_k")}
    expected = [one.to_dict(columns=False) for one in models[model].predict(inputs, **options)]
    assert without_digits(found["predictions"]) == without_digits(expected)


def without_digits(value: Any) -> Any:
    """A document with rounded numbers, which depend a little on the other sentences of a batch."""
    if isinstance(value, dict):
        return {str(key): without_digits(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return list(map(without_digits, value))
    return round(value, 3) if isinstance(value, float) else value


def test_clients_at_the_same_time_get_their_own_predictions(server: LiveServer) -> None:
    alone = [server.predict(model="words", words=words)[1]["predictions"] for words in SENTENCES]
    many = list(range(len(SENTENCES))) * 6
    found = together(
        *(lambda number=number: server.predict(model="words", words=SENTENCES[number]) for number in many)
    )
    for number, (status, document, _) in zip(many, found, strict=True):
        assert status == 200
        assert without_digits(document["predictions"]) == without_digits(alone[number])


def test_a_plain_text_belongs_to_another_address(server: LiveServer) -> None:
    status, document, _ = server.ask("POST", "/predict/conllu?model=words", "Anna reads books.\nThe old dogs sleep.\n")
    assert status == 422
    assert document["error"].endswith('or predict with POST /predict and {"texts": [...]}')


@pytest.mark.parametrize("query", ["", "&dataset=WORDS", "&topn=2"])
def test_a_file_comes_back_as_predict_writes_it(
    server: LiveServer, models: dict[str, Any], runs: Path, tmp_path: Path, query: str
) -> None:
    source = (runs / "words.conllu").read_bytes() + b"# the end\n"
    (tmp_path / "in.conllu").write_bytes(source)
    models["words"].predict_file(tmp_path / "in.conllu", tmp_path / "out.conllu", top_k=2 if "topn" in query else None)
    status, found, headers = server.ask("POST", f"/predict/conllu?model=words{query}", source)
    assert (status, found) == (200, (tmp_path / "out.conllu").read_text(encoding="utf-8"))
    assert headers["content-type"] == "text/plain; charset=utf-8"


def test_a_tsv_comes_back_with_labels(server: LiveServer) -> None:
    status, found, _ = server.ask("POST", "/predict/conllu?model=pairs", "a dog sleeps\tthe dog rests\t_\n")
    assert status == 200 and found.split("\t")[2].strip() in ("yes", "no")


def test_empty_lines_are_no_sentences_that_wait(server: LiveServer) -> None:
    empty = "\n" * (2 * Limits().max_queue)
    status, found, _ = server.ask("POST", "/predict/conllu?model=pairs", f"{empty}a\tb\t_\n{empty}")
    assert status == 200
    assert found.startswith(f"{empty}a\tb\t") and found.endswith(f"\n{empty}")


@pytest.mark.parametrize(
    ("path", "body", "start"),
    [
        ("", {"model": "words", "text": "a", "dataset": "WORD"}, "dataset: "),
        ("", {"model": "words", "text": "a", "tasks": ["upo"]}, "tasks: unknown task 'upo'; did you mean 'upos'?"),
        ("", {"model": "words", "text": "a", "tasks": []}, "tasks: found none, expected names of tasks"),
        ("", {"model": "pairs", "text": "a"}, "dataset: found no dataset that reads an input such as the first one"),
        (
            "",
            {"model": "pairs", "sentences": [["a", "b"]] * 9 + [["c"]]},
            "input 10: found 1 text, expected 2: the dataset 'PAIRS' has texts in columns 0, 1",
        ),
        ("/conllu?model=words", "1\n\n", "request:1: "),
        ("/conllu?model=words", "", "request: no sentences found, expected at least one"),
        ("/conllu?model=words", b"\x1f\x8b\x08", "request: found no UTF-8 at byte 1, expected text"),
        ("/conllu?model=words&dataset=WORD", "1\ta\n\n", "dataset: "),
    ],
    ids=str,
)
def test_what_cannot_be_predicted_is_one_line(server: LiveServer, path: str, body: Any, start: str) -> None:
    status, document, _ = server.ask("POST", f"/predict{path}", body)
    assert (status, document["error"][: len(start)]) == (422, start)
    assert "--" not in document["error"] and "/tmp" not in document["error"]


def test_the_models_are_described(server: LiveServer) -> None:
    words, pairs = server.ask("GET", "/models")[1]["models"]
    assert words["datasets"]["WORDS"]["reads"] == "words in column 1"
    assert words["datasets"]["WORDS"]["tasks"]["tree"] == "dependency"
    assert words["datasets"]["WORDS"]["num_texts"] == 1
    assert pairs["datasets"] == {
        "PAIRS": {"reads": "texts in columns 0, 1", "num_texts": 2, "tasks": {"same": "classification"}}
    }


def test_models_have_the_names_of_their_folders_which_must_differ() -> None:
    assert model_names(["runs/a", "runs/b/model", "c/"]) == {"a": "runs/a", "b": "runs/b/model", "c": "c/"}
    with pytest.raises(ConfigError, match="found two models with the name 'a' \\(runs/a, other/a/model\\)"):
        model_names(["runs/a", "other/a/model"])
