"""Raw text becomes records that say the same text, in words that spaces, or the model, make of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from predicted_words import predict_words

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.data.records import FileFormat, read_records
from machamp_lite.decoders.tok import Tok, tag_characters
from machamp_lite.errors import ConfigError
from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model
from machamp_lite.training.run import train

TASKS = {
    "words": {"task_type": "tok"},
    "upos": {"task_type": "seq", "column_idx": 3},
    "tree": {
        "task_type": "dependency",
        "column_idx": 6,
        "arc_representation_dim": 8,
        "tag_representation_dim": 8,
    },
    "mood": {"task_type": "classification", "column_idx": -1},
    "hidden": {"task_type": "mlm"},
}
TEXTS = {"kind": {"task_type": "classification", "column_idx": 3}}
LINES = ["The dogs don't sleep.", "  Who ran?\t", "", "Anna  reads\tbooks.", "(ran)", "猫。"]


@pytest.fixture
def model(
    tiny_params: str, treebank: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Model:
    """A barely trained model of words, texts, pairs of texts and plain text."""
    monkeypatch.chdir(tmp_path)
    Path("plain").write_text("the old dog sleeps .\nit ran .\n")
    datasets: dict[str, Any] = {
        "UD": {"train_data_path": str(treebank), "word_idx": 1, "tasks": TASKS},
        "TEXTS": {"train_data_path": str(pairs), "sent_idxs": [1], "tasks": TEXTS},
        "PAIRS": {
            "train_data_path": str(pairs),
            "sent_idxs": [0, 1],
            "tasks": {"same": {"task_type": "classification", "column_idx": 2}},
        },
        "PLAIN": {"train_data_path": "plain", "tasks": {"plain": {"task_type": "mlm"}}},
    }
    Path("c.json").write_text(json.dumps(datasets))
    config = load_config(["c.json"], parameters_config=tiny_params, overrides=["training.num_epochs=1"])
    train(config, "run", progress=False)
    return load_model("run")


def at_punctuation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for what a trained model says: words end at spaces and before punctuation."""

    def decode(self: Tok, scores: Any, sentences: list[list[str]]) -> list[list[str]]:
        tags = []
        for subwords in sentences:
            text, own = "".join(subwords), []
            for place, character in enumerate(text):
                before = text[place - 1] if place else " "
                begins = before.isspace() or not (character.isalnum() and before.isalnum())
                own.append("O" if character.isspace() else "B" if begins else "I")
            tags.append(own)
        return tags

    monkeypatch.setattr(Tok, "decode", decode)


def test_words_are_those_of_the_model_and_the_text_can_be_rebuilt(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_punctuation(monkeypatch)
    monkeypatch.setattr("machamp_lite.inference.raw_text.CHUNK", 2)
    Path("in").write_text("\n".join(LINES))
    scores = predict_file(model, "in", "out", dataset="UD", raw_text=True)
    assert scores.keys() == {"hidden"}, "what the model makes is no gold"
    records = list(read_records("out", FileFormat(word_idx=1)))
    texts = [line.strip() for line in LINES if line.strip()]
    assert [record.comment("text") for record in records] == texts
    assert records[0].words == ["The", "dogs", "don", "'", "t", "sleep", "."]
    for record, text in zip(records, texts, strict=True):
        assert {len(row) for row in record.rows} == {10}
        assert [row[0] for row in record.rows] == [str(number + 1) for number in range(len(record.rows))]
        assert tag_characters(text, record) is not None
        rebuilt = "".join(row[1] + ("" if row[9] == "SpaceAfter=No" else " ") for row in record.rows)
        assert rebuilt == " ".join(text.split()) + " "
        assert "_" not in record.column(3) + record.column(6)
        assert record.comment("mood") in ("statement", "question", "order")


def test_what_the_model_says_of_the_words_is_what_it_says_of_them_in_a_file(model: Model) -> None:
    Path("in").write_text("\n".join(LINES))
    predict_file(model, "in", "out", dataset="UD", raw_text=True)
    predict_file(model, "out", "again", dataset="UD")
    assert Path("again").read_bytes() == Path("out").read_bytes()


def test_words_that_are_there_already_are_split_by_spaces(model: Model) -> None:
    Path("in").write_text("do n't  sleep .\nran\n")
    predict_file(model, "in", "out", dataset="UD", raw_text=True, pre_tokenized=True)
    words = [record.words for record in read_records("out", FileFormat(word_idx=1))]
    assert words == [["do", "n't", "sleep", "."], ["ran"]]
    assert not json.loads(Path("out.eval").read_text()).keys() & {"words"}


@pytest.fixture
def untokenized(model: Model) -> Model:
    """The same model without the task that makes words."""
    datasets = dict(model.config.datasets)
    tasks = {task: options for task, options in datasets["UD"].tasks.items() if task != "words"}
    datasets["UD"] = datasets["UD"].model_copy(update={"tasks": tasks})
    model.config = model.config.model_copy(update={"datasets": datasets})
    return model


RAW = [
    "Don't stop this.",
    "",
    "\tHe said: \u00abno\u00bb,\u00a0(twice)  ...\u2028and\tleft ",
    " \u00a0 ",
    "我很好。 สวัสดี",
    "# a = b #MeToo",
]
RAW_WORDS = [
    "Don't stop this .",
    "He said : \u00ab no \u00bb , ( twice ) . . . and left",
    "我 很 好 。 สวัสดี",
    "# a = b # MeToo",
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_without_a_task_that_makes_words_they_are_those_of_unicode(
    untokenized: Model, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    Path("in").write_text(end.join(RAW), encoding="utf-8", newline="")
    with caplog.at_level("INFO", logger="machamp_lite"):
        predict_file(untokenized, "in", "out", dataset="UD", raw_text=True)
    records = list(read_records("out", FileFormat(word_idx=1)))
    assert [" ".join(record.words) for record in records] == RAW_WORDS
    texts = [line.strip() for line in RAW if line.strip()]
    assert [record.lines[0] for record in records] == [f"# text = {text}\n" for text in texts]
    for record, text in zip(records, texts, strict=True):
        assert {len(row) for row in record.rows} == {10} and len(record.ids or ()) == len(record.rows)
        rebuilt = "".join(row[1] + ("" if row[9] == "SpaceAfter=No" else " ") for row in record.rows)
        assert rebuilt.strip() == " ".join(text.split())
    assert [message for message in caplog.messages if message.startswith("in: ")] == [
        "in: words are split at Unicode word boundaries (UAX 29); --pre_tokenized splits at white space only",
        "in: found a script without spaces between words (first in line 5): Chinese and Japanese are split into "
        "characters, Thai and the like only at spaces; a task of type tok or --pre_tokenized is better",
        "in: 2 blank lines are left out (the first is line 2)",
    ]


WAYS = {
    "by the model": (False, "in: words are split by the task 'words' (tok)"),
    "at spaces": (True, "in: words are split at white space only (--pre_tokenized)"),
}


@pytest.mark.parametrize(("pre_tokenized", "message"), WAYS.values(), ids=WAYS)
def test_every_way_says_which_it_is_and_keeps_the_line_as_it_is(
    model: Model,
    pre_tokenized: bool,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    at_punctuation(monkeypatch)
    Path("in").write_text("\n".join(RAW), encoding="utf-8")
    with caplog.at_level("INFO", logger="machamp_lite"):
        predict_file(model, "in", "out", dataset="UD", raw_text=True, pre_tokenized=pre_tokenized)
    assert [found for found in caplog.messages if found.startswith("in: ")] == [
        message,
        "in: 2 blank lines are left out (the first is line 2)",
    ]
    records = list(read_records("out", FileFormat(word_idx=1)))
    assert [record.lines[0] for record in records] == [
        f"# text = {line.strip()}\n" for line in RAW if line.strip()
    ]
    words = [word for record in records for word in record.words]
    assert ("Don't" in words) == pre_tokenized and not any(word.isspace() for word in words)


def test_one_blank_line_is_counted_also_before_max_sents(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    Path("in").write_text("a\n\nb\nc\n\n")
    with caplog.at_level("INFO", logger="machamp_lite"):
        predict_file(model, "in", "out", dataset="UD", raw_text=True, pre_tokenized=True, max_sents=2)
    assert "in: 1 blank line is left out (line 2)" in caplog.messages


def test_each_line_is_a_text_in_the_columns_that_the_tasks_need(model: Model) -> None:
    Path("in").write_text("it ran\n\na\ttab # x\n")
    assert predict_file(model, "in", "out", dataset="TEXTS", raw_text=True) == {}
    rows = [line.split("\t") for line in Path("out").read_text().split("\n")]
    assert [row[:3] for row in rows] == [["_", "it ran", "_"], [""], ["_", "a tab # x", "_"], [""]]
    assert all(row[3] and row[3] != "_" for row in rows if len(row) > 1)
    predict_file(model, "out", "again", dataset="TEXTS")
    assert Path("again").read_bytes() == Path("out").read_bytes()


def test_plain_text_comes_back_as_it_is_and_is_scored(model: Model) -> None:
    content = b"\xef\xbb\xbfthe old dog\r\n\n  it\tran ."
    Path("in").write_bytes(content)
    for raw_text in (True, False):
        scores = predict_file(model, "in", "out", dataset="PLAIN", raw_text=raw_text)
        assert scores["plain"]["perplexity"] > 1
        assert Path("out").read_bytes() == content
        counts = {"scored": 2, "skipped": 0}
        assert json.loads(Path("out.eval").read_text()) == {"plain": {**scores["plain"], **counts}}


@pytest.mark.parametrize(
    ("dataset", "flags", "line"),
    [
        ("PAIRS", [], "--raw_text: PAIRS reads texts in columns 0, 1, expected a dataset with word_idx or "),
        ("TEXTS", ["--pre_tokenized"], "--pre_tokenized: TEXTS reads text in column 1, expected a dataset "),
    ],
)
def test_what_raw_text_cannot_be_is_one_line(
    model: Model, dataset: str, flags: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in").write_text("it ran\n")
    arguments = ["run", "in", "out", "--dataset", dataset, "--raw_text", "--device", "-1", *flags]
    assert cli.predict(arguments) == 2
    (reported,) = capsys.readouterr().err.splitlines()
    assert reported.startswith(line)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("dataset", "content", "options", "expected"),
    [
        (
            "UD",
            "1\tdogs\n\n# x\n\n1\tran\n2\t.\n\n# y\n\n1\tlate\n",
            {},
            "1\tdogs\n\n# x\n\n1\tran\n2\t.\n\n",
        ),
        ("PAIRS", "a\tb\n\nc\td\ne\tf\n", {}, "a\tb\n\nc\td\n"),
        ("UD", "dogs\nran .\nlate", {"raw_text": True, "pre_tokenized": True}, "1\tdogs\n\n1\tran\n2\t.\n\n"),
        ("UD", "dogs\nran\nlate", {"raw_text": True}, "1\tdogs\n\n1\tran\n\n"),
        ("PLAIN", "dogs\nran\nlate", {}, "dogs\nran\n"),
    ],
)
def test_what_follows_the_first_sentences_is_not_written(
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    dataset: str,
    content: str,
    options: dict[str, Any],
    expected: str,
) -> None:
    at_punctuation(monkeypatch)
    Path("in").write_text(content)
    predict_file(model, "in", "out", dataset=dataset, max_sents=2, **options)
    lines = [
        line for line in Path("out").read_text().split("\n") if not line.startswith(("# text", "# mood"))
    ]
    assert ["\t".join(line.split("\t")[:2]) for line in lines] == expected.split("\n")


def test_faults_are_reported_for_the_first_sentences_only(model: Model) -> None:
    Path("in").write_text("1\n\n1\tran\n\n1\n\n")
    with pytest.raises(Exception, match=r"^in:1: found 1 column, ") as caught:
        predict_file(model, "in", "out", dataset="UD", max_sents=2)
    assert "in:5" not in str(caught.value)


def test_each_input_is_looked_at_on_its_own(model: Model, treebank: Path, pairs: Path) -> None:
    Path("more").write_text("it ran\nhe ran\n")
    sources = [str(treebank), str(pairs), "more"]
    with pytest.raises(ConfigError, match="TEXTS"):
        predict_file(model, pairs, "out")
    arguments = [item for number, source in enumerate(sources) for item in (source, f"out{number}")]
    assert cli.predict(["run", *arguments, "--device", "-1"]) == 2
    assert not Path("out0").exists(), "faults are reported before anything is written"
    assert cli.predict(["run", sources[0], "out0", sources[2], "out2", "--device", "-1"]) == 0
    assert Path("out2").read_text() == "it ran\nhe ran\n"


def test_words_without_a_file_have_the_labels_of_all_tasks_that_label_them(model: Model) -> None:
    first, second = predict_words(model, [["Who", "ran", "?"], ["dogs"]], dataset="UD")
    assert [(task, len(labels)) for task, labels in sorted(first.items())] == [
        ("mood", 1),
        ("tree", 3),
        ("upos", 3),
    ]
    assert len(second["tree"]) == 1
    assert predict_words(model, [["it ran"]], dataset="TEXTS")[0].keys() == {"kind"}
    assert predict_words(model, [["a", "b"]], dataset="PAIRS")[0].keys() == {"same"}
    assert predict_words(model, [["it ran"]], dataset="PLAIN") == [{}]


def test_a_model_of_encoder_and_decoder_writes_texts_for_texts(
    encoders: dict[str, str], tiny_params: str, pair_dataset: dict[str, Any], write_config: Callable[..., str]
) -> None:
    task = {"task_type": "seq2seq", "column_idx": 7, "max_output_length": 4, "num_beams": 2}
    data = {**pair_dataset, "sent_idxs": [0], "tasks": {"reply": task}}
    folder = Path(pair_dataset["train_data_path"]).parent
    config = load_config(
        [write_config(D=data)],
        parameters_config=tiny_params,
        overrides=[f"transformer_model={encoders['t5']}", "training.num_epochs=1"],
    )
    train(config, folder / "run", progress=False)
    model = load_model(folder / "run")
    (folder / "in").write_text("it ran\na dog sleeps\n")
    predict_file(model, folder / "in", folder / "out", raw_text=True, top_n=2)
    rows = [line.split("\t") for line in (folder / "out").read_text().splitlines()]
    assert [row[0] for row in rows] == ["it ran", "a dog sleeps"]
    assert all(0 <= float(row[7].rpartition("=")[2]) <= 1 for row in rows)
    assert [len(found["reply"]) for found in predict_words(model, [["it ran"], ["he"]])] == [1, 1]
