"""A run on each format: checked, trained, scored, predicted, and the output can be read as the input was."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

import machamp_lite.cli.main as cli

SENTENCES = [(["The", "dog", "sleeps"], ["DET", "NOUN", "VERB"], "calm"), (["Run"], ["VERB"], "lively")] * 3
PAIRS = [("a dog, asleep", "yes"), ('she said "no"', "no")] * 3


def csv_of(separator: str) -> str:
    text = io.StringIO(newline="")
    rows = [(number, *pair) for number, pair in enumerate(PAIRS)]
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_NONNUMERIC).writerows([("id", "text", "label"), *rows])
    return text.getvalue()


def lines(form: str) -> str:
    """One word per line, in this form, and a blank line after each sentence."""
    sentences = [zip(*sentence[:2], strict=True) for sentence in SENTENCES]
    return "".join("".join(form.format(*pair) for pair in sentence) + "\n" for sentence in sentences)


def json_lines(**columns: list[Any]) -> str:
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return "".join(json.dumps(row) + "\n" for row in rows)


WORDS = {"tokens": [s[0] for s in SENTENCES], "tags": [s[1] for s in SENTENCES], "mood": [s[2] for s in SENTENCES]}
TEXTS = {"text": [p[0] for p in PAIRS], "label": [p[1] for p in PAIRS]}
NAMED_WORDS = {
    "word_idx": "tokens",
    "tasks": {
        "tags": {"task_type": "seq", "column_idx": "tags"},
        "mood": {"task_type": "classification", "column_idx": -1},
    },
}
NAMED_TEXTS = {"sent_idxs": ["text"], "tasks": {"label": {"task_type": "classification", "column_idx": "label"}}}
CLASSES = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}

CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "CSV with names": ("data.csv", csv_of(","), NAMED_TEXTS),
    "CSV with names and semicolons": ("data.csv", csv_of(";"), {**NAMED_TEXTS, "separator": ";"}),
    "TSV with names": ("data.tsv", csv_of("\t"), {**NAMED_TEXTS, "quoting": True}),
    "CSV by number": (
        "data.txt",
        csv_of(","),
        {
            "format": "csv",
            "skip_first_line": True,
            "sent_idxs": [1],
            "tasks": {"label": {"task_type": "classification", "column_idx": 2}},
        },
    ),
    "CSV of words": (
        "words.csv",
        "tokens,tags\n" + lines('"{}",{}\n'),
        {"word_idx": "tokens", "tasks": {"tags": {"task_type": "seq", "column_idx": "tags"}}},
    ),
    "words separated by spaces": (
        "data.conll",
        "-DOCSTART- -X- O\n\n" + lines("{} X {}\n"),
        {"word_idx": 0, "separator": " ", "tasks": {"tags": {"task_type": "seq", "column_idx": 2}}},
    ),
    "JSON lines of texts": ("data.jsonl", json_lines(**TEXTS), NAMED_TEXTS),
    "JSON lines of words": ("data.json", json_lines(**WORDS), NAMED_WORDS),
    "compressed JSON lines": ("data.jsonl.gz", json_lines(**WORDS), NAMED_WORDS),
    "trees in JSON lines": (
        "data.jsonl",
        json_lines(
            tokens=WORDS["tokens"],
            head=[list(range(len(words))) for words in WORDS["tokens"]],
            deprel=[["root", *["dep"] * (len(words) - 1)] for words in WORDS["tokens"]],
        ),
        {"word_idx": "tokens", "tasks": {"tree": {"task_type": "dependency", "column_idxs": ["head", "deprel"]}}},
    ),
    "sets and numbers in JSON lines": (
        "data.jsonl",
        json_lines(text=TEXTS["text"], sets=[["a", "b"], []] * 3, score=[1.5, 2] * 3),
        {
            "sent_idxs": ["text"],
            "tasks": {
                "sets": {"task_type": "multiclas", "column_idx": "sets"},
                "score": {"task_type": "regression", "column_idx": "score"},
            },
        },
    ),
    "Parquet": ("data.parquet", pyarrow.table(WORDS), NAMED_WORDS),
    "Arrow": ("data.arrow", pyarrow.table(TEXTS), NAMED_TEXTS),
    "a folder": (
        "folder",
        pyarrow.table({"text": TEXTS["text"], "label": [int(label == "yes") for label in TEXTS["label"]]}),
        NAMED_TEXTS,
    ),
}


def write(path: Path, content: Any) -> None:
    if isinstance(content, str):
        data = content.encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(content, path)
    else:
        if not path.suffix:
            path.mkdir()
            (path / "dataset_info.json").write_text(json.dumps({"features": CLASSES}), encoding="utf-8")
            path = path / "data.arrow"
        with pyarrow.ipc.new_stream(str(path), content.schema) as writer:
            writer.write_table(content)


def shape(path: Path) -> Any:
    """What prediction does not change: the columns, and all but the labels."""
    content = path.read_bytes()
    if content.startswith(b"PAR1"):
        table = pyarrow.parquet.read_table(path)
    elif content.startswith(b"\xff\xff\xff\xff"):
        table = pyarrow.ipc.open_stream(content).read_all()
    elif content.lstrip().startswith(b"{"):
        rows = [json.loads(line) for line in content.decode().splitlines()]
        return [{key: row[key] for key in row if key in ("tokens", "text")} for row in rows]
    else:
        return [line.rpartition(b",")[0].rpartition(b" ")[0] for line in content.split(b"\n")]
    inputs = {"text", "tokens"}.intersection(table.schema.names)
    return table.schema.types, {name: table[name].to_pylist() for name in inputs}


@pytest.mark.parametrize(("name", "content", "dataset"), CASES.values(), ids=CASES)
def test_a_run_on_each_format(
    tmp_path: Path,
    tiny_params: str,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: Any,
    dataset: dict[str, Any],
) -> None:
    data = tmp_path / name
    write(data, content)
    paths = {"train_data_path": str(data), "dev_data_path": str(data)}
    (tmp_path / "config.json").write_text(json.dumps({"A": {**paths, **dataset}}), encoding="utf-8")
    flags = ["--dataset_configs", str(tmp_path / "config.json"), "--parameters_config", tiny_params]
    run = tmp_path / "run"
    cache = ["--data_cache", str(tmp_path / "cache")]
    assert cli.train([*flags, *cache, "--check"]) == 0, capsys.readouterr().err
    assert cli.train([*flags, *cache, "--model_dir", str(run), "--set", "training.num_epochs=1"]) == 0, (
        capsys.readouterr().err
    )
    scores = json.loads((run / "A.out.eval").read_text(encoding="utf-8"))
    assert scores.keys() == dataset["tasks"].keys()
    output = tmp_path / f"out{''.join(data.suffixes)}"
    assert cli.predict([str(run), str(data), str(output)]) == 0, capsys.readouterr().err
    assert json.loads(Path(f"{output}.eval").read_text(encoding="utf-8")) == scores
    written = output.read_bytes()
    if data.suffix == ".gz":
        written = gzip.decompress(written)
        data.write_bytes(gzip.decompress(data.read_bytes()))
        output.write_bytes(written)
    assert written == (run / "A.out").read_bytes()
    assert shape(output) == shape(data / "data.arrow" if data.is_dir() else data)
    # Raw text becomes a file with tabs, with a header if columns have names.
    (tmp_path / "raw.txt").write_text("The dog sleeps\nRun\n", encoding="utf-8")
    assert cli.predict([str(run), str(tmp_path / "raw.txt"), str(tmp_path / "raw.out"), "--raw_text"]) == 0, (
        capsys.readouterr().err
    )
    header = (tmp_path / "raw.out").read_text(encoding="utf-8").splitlines()[0]
    named = dataset.get("word_idx", dataset.get("sent_idxs", [""])[0])
    assert header.startswith(f"{named}\t") or not isinstance(named, str)
    # The output can be an input.
    suffix = {"folder": ".arrow", "data.jsonl.gz": ".jsonl"}.get(name, data.suffix)
    again = output.rename(tmp_path / f"again{suffix}")
    assert cli.predict([str(run), str(again), str(tmp_path / "third")]) == 0, capsys.readouterr().err
