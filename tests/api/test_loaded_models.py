"""Prediction in memory: the labels of predict.py, in order, from any thread, with offsets in the text."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from task_type_cases import CASES, IDS, Case, Setting, every_case

from machamp_lite import progress
from machamp_lite.api import predictor
from machamp_lite.api.prediction import Prediction
from machamp_lite.api.predictor import Predictor
from machamp_lite.config import load_config
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.records import Record, read_records
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.decoders import DECODERS
from machamp_lite.errors import ConfigError, MachampError
from machamp_lite.inference.predictor import predict_file
from machamp_lite.training.run import build_model, read_data, seed_everything

TEXT = "The  dogs don't run, Anna!"


def inputs(setting: Setting) -> list[tuple[str, ...]]:
    return [tuple(record.words) for record in setting.records()]


def options_of(setting: Setting) -> TaskOptions:
    return setting.model.config.tasks()[setting.case.task]


def written(setting: Setting, target: Path, **options: Any) -> list[Record]:
    """The sentences of the file that predict.py writes."""
    predict_file(setting.model, setting.path, target, **options)
    file_format = file_format_of(setting.model.config.datasets["DATA"])
    return [record for record in read_records(target, file_format) if record.rows]


def cells(setting: Setting, text: str, path: Path) -> list[list[str]]:
    """The columns of the task, or its comment, in a sentence with columns."""
    path.write_text(text, encoding="utf-8")
    file_format = file_format_of(setting.model.config.datasets["DATA"])
    (record,) = (record for record in read_records(path, file_format) if record.rows)
    return cells_of(setting, record)


def cells_of(setting: Setting, record: Record) -> list[list[str]]:
    columns = options_of(setting).columns()
    return [record.column(column) for column in columns] or [record.comments(setting.case.task)]


@every_case
def test_labels_are_those_of_the_files(case: Case, make: Callable[..., Setting], tmp_path: Path) -> None:
    setting = make(case)
    predictions = Predictor(setting.model).predict(inputs(setting))
    records = written(setting, tmp_path / "out")
    assert [prediction.words or prediction.texts for prediction in predictions] == inputs(setting)
    if case.task_type in ("mlm", "tok"):
        assert all(not prediction.labels for prediction in predictions)
        return
    for prediction, record in zip(predictions, records, strict=True):
        assert prediction.labels.keys() == {case.task}
        assert cells(setting, prediction.to_conll(), tmp_path / "conll") == cells_of(setting, record)


@every_case
def test_one_input_gives_what_it_gives_among_others(case: Case, make: Callable[..., Setting]) -> None:
    setting = make(case)
    model = Predictor(setting.model)
    given = inputs(setting)
    together = shown(model.predict(given))
    assert shown(model.predict(one) for one in given) == together
    assert shown(model.predict([list(one) for one in given], batch_size=1)) == together
    assert shown(model.predict(iter(given))) == together


def shown(predictions: Iterable[Prediction]) -> list[str]:
    """With numbers rounded as in files: sums depend on the batch."""
    return [f"{prediction!r} {prediction.to_conll()}" for prediction in predictions]


@every_case
def test_a_prediction_survives_json(case: Case, make: Callable[..., Setting]) -> None:
    setting = make(case)
    for prediction in Predictor(setting.model).predict(inputs(setting), top_k=2):
        document = json.loads(json.dumps(prediction.to_dict()))
        assert document == prediction.to_dict()
        again = Prediction.from_dict(document)
        rounded = again.to_dict()
        assert again == prediction and rounded == document
        assert repr(again).startswith("Prediction(") and repr(again) == repr(prediction)
        assert again._repr_html_().startswith("<div")


RANKED = [case for case in CASES if DECODERS[case.task_type].Options.supports_top_k]


@pytest.mark.parametrize("case", RANKED, ids=[IDS[CASES.index(case)] for case in RANKED])
def test_the_best_labels_are_those_of_the_files(case: Case, make: Callable[..., Setting], tmp_path: Path) -> None:
    setting = make(case)
    predictions = Predictor(setting.model).predict(inputs(setting), top_k=3)
    for prediction, record in zip(predictions, written(setting, tmp_path / "out", top_n=3), strict=True):
        probabilities: Any = prediction.probabilities[case.task]
        items = probabilities if isinstance(probabilities, tuple) else (probabilities,)
        columns = cells_of(setting, record)
        shown = [joined(item) for item in items]
        assert shown == columns[-1][: len(shown)]
        if case.task_type == "dependency":
            assert list(map(joined, prediction.head_probabilities[case.task])) == columns[0]


def joined(probabilities: dict[Any, float]) -> str:
    return "|".join(f"{label}={value:.4f}" for label, value in probabilities.items())


@pytest.fixture
def model(
    treebank: Path, pairs: Path, write_config: Callable[..., str], tiny_params: str
) -> Predictor:
    """An untrained model of words and of pairs of texts."""
    data = {"train_data_path": str(treebank), "word_idx": 1}
    tasks = {
        "upos": {"task_type": "seq", "column_idx": 3},
        "ner": {"task_type": "seq_bio", "column_idx": 8},
        "tree": {"task_type": "dependency", "column_idx": 6},
        "feats": {"task_type": "multiseq", "column_idx": 5},
        "mood": {"task_type": "classification", "column_idx": -1},
    }
    of_pairs = {
        "train_data_path": str(pairs),
        "sent_idxs": [0, 1],
        "tasks": {"same": {"task_type": "classification", "column_idx": 2}},
    }
    path = write_config(UD={**data, "tasks": tasks}, PAIRS=of_pairs)
    config = load_config([path], parameters_config=tiny_params)
    seed_everything(3)
    return Predictor(build_model(config, read_data(config)))


def test_tokens_and_spans_have_their_offsets_in_the_text(model: Predictor) -> None:
    prediction = model.predict(TEXT, top_k=1)
    assert prediction.words == ("The", "dogs", "don't", "run", ",", "Anna", "!")
    assert all(TEXT[token.start : token.end] == token.text for token in prediction.tokens)
    spans = [span for text in (TEXT, "dogs run", "Anna") for span in model.predict(text, top_k=1).spans["ner"]]
    assert spans
    for span in prediction.spans["ner"]:
        assert TEXT[span.start_char : span.end_char] == span.text
        assert span.text.split() == [token.text for token in prediction.tokens[span.start : span.end]]
    assert all(span.probability is not None and 0 < span.probability <= 1 for span in spans)
    assert all(span.probability is None for span in model.predict(TEXT).spans["ner"])


def test_a_tree_has_one_root_and_the_relations_of_the_words(model: Predictor) -> None:
    prediction = model.predict(("dogs", "run", "."))
    tree = prediction.tree()
    assert tree == prediction.tree("tree") and len(tree.heads) == 3
    assert tree.heads[tree.root] == 0 and tree.relations == prediction.labels["tree"]
    assert sorted([tree.root, *(child for word in range(3) for child in tree.children(word))]) == [0, 1, 2]
    with pytest.raises(MachampError, match="task: found 'upos', expected a task with a tree"):
        prediction.tree("upos")


def test_white_space_alone_may_split_texts(model: Predictor) -> None:
    assert model.predict("I don't.", pre_tokenized=True).words == ("I", "don't.")
    assert model.predict("I don't.").words == ("I", "don't", ".")


def test_a_text_is_split_as_in_files(
    make: Callable[..., Setting], tmp_path: Path
) -> None:
    setting = make(CASES[IDS.index("tok-words")])
    texts = ["Who ran?", "The dogs don't sleep.", "Run"]
    (tmp_path / "in").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    predict_file(setting.model, tmp_path / "in", tmp_path / "out", raw_text=True)
    file_format = file_format_of(setting.model.config.datasets["DATA"])
    records = [record for record in read_records(tmp_path / "out", file_format) if record.rows]
    predictions = Predictor(setting.model).predict(["", *texts, " "])
    assert [list(one.words) for one in predictions] == [[], *(record.words for record in records), []]


def test_a_sentence_without_words_has_no_labels(model: Predictor) -> None:
    empty, full, blank, none = model.predict(["", "dogs run", " \n", ()], dataset="UD")
    assert full.labels["upos"] and full.spans.keys() == {"ner"}
    for one in (empty, blank, none):
        assert one.tokens == () and one.labels == dict.fromkeys(("upos", "ner", "tree", "feats"), ())


def test_the_tasks_of_all_datasets_that_read_an_input_are_predicted(model: Predictor) -> None:
    assert model.predict("dogs run").labels.keys() == {"upos", "ner", "tree", "feats", "mood"}
    assert model.predict(("dogs", "run", ".")).labels.keys() == {"upos", "ner", "tree", "feats", "mood"}
    assert model.predict(("a dog", "a cat"), dataset="PAIRS").labels.keys() == {"same"}
    assert model.predict(("a dog", "a cat"), dataset="PAIRS").texts == ("a dog", "a cat")


def test_only_chosen_tasks_are_predicted(model: Predictor) -> None:
    every = model.predict(TEXT)
    chosen = model.predict(TEXT, tasks=["mood", "upos"])
    assert chosen.labels == {task: every.labels[task] for task in ("upos", "mood")}
    assert not chosen.heads and not chosen.spans


FAULTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a number": (3, {}, "input 1: found 3 of type int, expected a text (str)"),
    "bytes": (b"a", {}, "input 1: found b'a' of type bytes, expected a text (str)"),
    "None in a list": (["a", None], {}, "input 2: found None of type NoneType, expected a text (str)"),
    "deep lists": ([[["a"]]], {}, "input 1: found [['a']] of type list, expected a text (str)"),
    "half of a surrogate pair": (["a", "\ud800 b"], {}, "input 2: found half of a surrogate pair"),
    "half of one in a word": (("a", "\ud800"), {}, "input 1: found half of a surrogate pair"),
    "no dataset": (("a", "b"), {}, "dataset: found several datasets that read an input such as the first one"),
    "a truth value": ("a", {"top_k": True}, "top_k: found True, expected a number above 0"),
    "decisions that are no dictionary": ("a", {"decisions": [1]}, "decisions: found [1], expected {task: {option: va"),
    "a decision that is no dictionary": ("a", {"decisions": {"upos": 1}}, "decisions upos: found 1, expected {option"),
    "an unknown dataset": ("a", {"dataset": "UDD"}, "dataset: found 'UDD', expected one of the model's datasets"),
    "a text for pairs": ("a", {"dataset": "PAIRS"}, "input 1: found 1 text, expected 2"),
    "an unknown task": ("a", {"tasks": ["uposs"]}, "tasks: unknown task 'uposs'; did you mean 'upos'?"),
    "no task": ("a", {"tasks": []}, "tasks: found none, expected names of tasks"),
    "a number as task": ("a", {"tasks": 3}, "tasks: found 3, expected names of tasks"),
    "numbers as tasks": ("a", {"tasks": [3]}, "tasks: found [3], expected names of tasks"),
    "a truth value as number": ("a", {"top_k": True}, "top_k: found True, expected a number above 0"),
    "no label": ("a", {"top_k": 0}, "top_k: found 0, expected a number above 0"),
    "a threshold": (("a", "b"), {"dataset": "PAIRS", "threshold": 0.5}, "threshold: found no task of type multiseq"),
    "a tau that is no number": ("a", {"dataset": "UD", "tau": "x"}, "tau: found 'x', expected a number from -100"),
    "a high tau": ("a", {"dataset": "UD", "tau": 1000}, "tau: found 1000, expected a number from -100 to 100"),
    "no probability": ("a", {"dataset": "UD", "min_confidence": 2}, "min_confidence: found 2, expected a number"),
    "tau and plain": ("a", {"dataset": "UD", "tau": 0.5, "plain": True}, "plain: found together with tau"),
    "an unknown decision": ("a", {"decisions": {"upos": {"tauu": 1}}}, "decisions upos.tauu: is no decision"),
}


@pytest.mark.parametrize(("given", "options", "message"), FAULTS.values(), ids=FAULTS)
def test_errors_name_arguments(model: Predictor, given: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MachampError) as error:
        model.predict(given, **options)
    assert str(error.value).startswith(message)
    assert "--" not in str(error.value)


def test_a_stream_is_read_as_it_is_predicted(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "STREAM_CHUNK", 4)
    texts, read = [("dogs", "run", str(number)) for number in range(20)], []

    def stream() -> Iterator[tuple[str, ...]]:
        for number, text in enumerate(itertools.cycle(texts)):
            read.append(number)
            yield text

    found = model.predict(stream())
    assert not read
    assert [next(found) for _ in range(10)] == model.predict(texts)[:10]
    assert len(read) == 12


def test_the_bar_of_a_stream_is_its_own(model: Predictor, capsys: pytest.CaptureFixture[str]) -> None:
    stream = model.predict(iter(["dogs run", "dogs sleep", "Anna ran"]), progress=True)
    next(stream)
    (opened,) = progress._open_bars
    # Other calls neither show bars nor close this one.
    model.predict(["dogs run"])
    model.predict(["dogs run"], progress=True)
    with progress.shown(), progress.bar("another"):
        pass
    assert progress._open_bars == {opened} and not progress._is_shown
    assert len(list(stream)) == 2 and not progress._open_bars
    stopped = model.predict(iter(["dogs run", "dogs sleep"]), progress=True)
    next(stopped)
    del stopped
    assert not progress._open_bars and not progress._is_shown
    assert "predicting" in capsys.readouterr().err


def test_decisions_hold_for_one_call(model: Predictor) -> None:
    before = model.predict(TEXT)
    low = model.predict(TEXT, threshold=0.0)
    assert all(len(labels) > 1 for labels in low.labels["feats"])
    assert not any(model.predict(TEXT, min_confidence=1.0).spans["ner"])
    shifted = model.predict(TEXT, decisions={"upos": {"offsets": {"X": 50.0}}} if "X" in model.labels["upos"] else {})
    assert shifted.labels.keys() == before.labels.keys()
    assert model.predict(TEXT, plain=True).labels.keys() == before.labels.keys()
    assert model.predict(TEXT) == before


def test_threads_may_predict_at_once(model: Predictor) -> None:
    texts = [f"{TEXT} {number} dogs" for number in range(30)]
    ways: list[dict[str, Any]] = [{}, {"top_k": 2}, {"threshold": 0.0}, {"min_confidence": 0.9}]
    expected = [[model.predict(text, **way) for text in texts] for way in ways]
    with ThreadPoolExecutor(8) as pool:
        calls = [
            (number, pool.submit(lambda way, text: model.predict(text, **way), way, text))
            for _ in range(3)
            for number, (way, text) in enumerate(itertools.product(ways, texts))
        ]
        flat = list(itertools.chain(*expected))
        # A thread may compute with another number of threads of its own, which changes the last digits.
        for number, call in calls:
            assert rounded(call.result()) == rounded(flat[number])


def rounded(prediction: Prediction) -> Any:
    return json.loads(json.dumps(prediction.to_dict()), parse_float=lambda text: round(float(text), 4))


def test_a_file_is_evaluated_as_it_is_predicted(model: Predictor, treebank: Path, tmp_path: Path) -> None:
    scores = model.predict_file(treebank, tmp_path / "out", dataset="UD")
    assert scores.keys() == {"upos", "ner", "tree", "feats", "mood"}
    assert model.evaluate(treebank, dataset="UD") == scores
    assert not (tmp_path / "treebank.conllu.eval").exists()
    (tmp_path / "bare").write_text("1\tdogs\n", encoding="utf-8")
    with pytest.raises(MachampError, match="found no gold labels"):
        model.evaluate(tmp_path / "bare", dataset="UD")


@pytest.mark.parametrize("option", [{"top_k": 2}, {"confidence": True}, {"conn": "="}, {"sep": ";"}])
def test_evaluate_refuses_options_of_writing(option: dict[str, Any], model: Predictor, treebank: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(option))}: has no effect in evaluate"):
        model.evaluate(treebank, dataset="UD", **option)


def test_conllu_has_each_label_in_its_column(model: Predictor) -> None:
    prediction = model.predict("The dogs don't run.")
    lines = prediction.to_conllu().splitlines()
    assert lines[0] == "# text = The dogs don't run."
    assert lines[1] == f"# mood = {prediction.labels['mood']}" and lines[-1] == ""
    rows = [line.split("\t") for line in lines[2:-1]]
    assert {len(row) for row in rows} == {10}
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"] and tuple(row[1] for row in rows) == prediction.words
    assert tuple(row[3] for row in rows) == prediction.labels["upos"]
    assert tuple(int(row[6]) for row in rows) == prediction.heads["tree"]
    assert {row[8] for row in rows} == {"_"}
    spans = [f"ner={label}" for label in prediction.labels["ner"]]
    assert [row[9] for row in rows] == [*spans[:3], f"SpaceAfter=No|{spans[3]}", spans[4]]


@pytest.mark.parametrize("word", ["a\tb", "a\nb", "a\r\n\tb", "\n", ""])
def test_no_word_breaks_its_line(model: Predictor, word: str) -> None:
    prediction = model.predict((word, "run"), dataset="UD")
    for text in (prediction.to_conllu(), prediction.to_conll()):
        _, _, first, second, end = text.split("\n")[:5]
        assert first.split("\t")[:2] == ["1", "a b" if "a" in word else "_"]
        assert (len(first.split("\t")), second.split("\t")[1], end) == (len(second.split("\t")), "run", "")


@every_case
def test_a_file_can_be_streamed(case: Case, make: Callable[..., Setting]) -> None:
    setting = make(case)
    model = Predictor(setting.model)
    streamed = list(model.stream_file(setting.path))
    expected = model.predict(inputs(setting))
    assert [one.labels.keys() for one in streamed] == [one.labels.keys() for one in expected]
    assert [one.words or one.texts for one in streamed] == inputs(setting)
    assert all(one.text[token.start : token.end] == token.text for one in streamed for token in one.tokens)
    if case.dataset == "words":
        assert [one.text for one in streamed][1:] == ["Who ran?", "Run", "Anna reads books."]
