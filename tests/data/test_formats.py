"""Each format is read as records, and written back without losses: lines byte for byte, tables value for value."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from machamp_lite.data import lines as data_lines
from machamp_lite.data.delimiter import Delimiter
from machamp_lite.data.formats import format_of, json_lines
from machamp_lite.data.formats.objects import to_text, to_value
from machamp_lite.data.records import FileFormat, Record, read_records, record_writer
from machamp_lite.errors import DataError

TEXTS = FileFormat(sent_idxs=("text",), label_columns=("label",))
TAGS = FileFormat(
    word_idx="tokens", label_columns=("tags", "intent"), sentence_values=("intent",), skip_first_line=False
)


def read(path: Path, file_format: FileFormat, *, training: bool = True) -> list[Record]:
    required = dict.fromkeys(file_format.input_columns, "word_idx" if file_format.word_idx else "sent_idxs")
    if training:
        required |= dict.fromkeys(file_format.label_columns, "task 'a'")
    return list(read_records(path, file_format, required=required))


def faults(path: Path, file_format: FileFormat, **options: bool) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(path, file_format, **options)
    return [fault.removeprefix(f"{path.parent}/") for fault in caught.value.faults]


def rewrite(
    path: Path, file_format: FileFormat, changes: dict[str | int, Sequence[str]] | None = None, *, name: str = "out"
) -> Path:
    """Reads a file, changes columns of every record, and writes it."""
    target = path.parent / name
    with record_writer(target, path, file_format) as write:
        for record in read(path, file_format, training=False):
            if record.rows:
                for column, values in (changes or {}).items():
                    record.set_column(column, values)
            write(record)
    return target


CELLS = st.lists(st.text(alphabet='ab",;\t\n\r\u2028\u0085 é#_', max_size=5), min_size=2, max_size=2)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(CELLS, min_size=1, max_size=5),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    separator=st.sampled_from([",", ";"]),
)
def test_csv_is_read_as_by_pythons_csv_and_written_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], quoting: Any, end: str, separator: str
) -> None:
    # A line with only white space is no row. For csv.reader, a CR without quotes ends a row.
    always = quoting == csv.QUOTE_ALL
    rows = [["x" + row[0], row[1]] for row in rows]
    rows = rows if always else [[cell.replace("\r", "") for cell in row] for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end).writerows([["text", "label"], *rows])
    # A file with more CR than LF is refused as one of an old Mac.
    assume(text.getvalue().count("\r") - text.getvalue().count("\r\n") <= text.getvalue().count("\n"))
    path = tmp_path_factory.mktemp("csv") / "in.csv"
    path.write_bytes(text.getvalue().encode())
    file_format = FileFormat(sent_idxs=("text",), label_columns=("label",), separator=separator)
    records = read(path, file_format)
    assert [record.rows[0] for record in records if record.rows] == rows
    assert [record.words for record in records if record.rows] == [[row[0]] for row in rows]
    assert rewrite(path, file_format).read_bytes() == path.read_bytes()
    for label in ("new", 'a "b"', "1;2,3"):
        changed = rewrite(path, file_format, {"label": [label]})
        with changed.open(newline="", encoding="utf-8") as file:
            assert list(csv.reader(file, delimiter=separator))[1:] == [[row[0], label] for row in rows]


ODD_CSV = {
    "quotes inside of a cell": ('a"b,c\n', [['a"b', "c"]]),
    "text after quotes": ('"a"b,"c" \n', [["ab", "c "]]),
    "empty quotes": ('x,""\n', [["x", ""]]),
    "blank lines": ("a,b\n\n \nc,d\n", [["a", "b"], ["c", "d"]]),
    "no last line end": ("a,b", [["a", "b"]]),
    "a byte order mark": ("\ufeffa,b\n", [["a", "b"]]),
    "a byte order mark before quotes": ('\ufeff"a\nc",b\n', [["a\nc", "b"]]),
    "a cell of many lines": ('"a\n\n\nb",c\nd,e\n', [["a\n\n\nb", "c"], ["d", "e"]]),
}


@pytest.mark.parametrize(("content", "rows"), ODD_CSV.values(), ids=ODD_CSV)
def test_csv_as_people_have_it(tmp_path: Path, content: str, rows: list[list[str]]) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content.encode())
    file_format = FileFormat(sent_idxs=(0,), label_columns=(1,))
    assert [record.rows[0] for record in read(path, file_format) if record.rows] == rows
    assert rewrite(path, file_format).read_bytes() == path.read_bytes()
    if "\ufeff" not in content:
        assert [row for row in csv.reader(io.StringIO(content, newline="")) if any(map(str.strip, row))] == rows


def test_the_line_of_a_row_after_a_cell_of_several_lines_is_right(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('tokens,tags\n"a\nb",X\nc,Y\n\nd\n', encoding="utf-8")
    file_format = FileFormat(word_idx="tokens", label_columns=("tags",))
    assert faults(path, file_format) == ["in.csv:6: found 1 column, expected at least 2: task 'a' reads column 'tags'"]
    path.write_text('tokens,tags\n"a\nb",X\nc,Y\n\nd,Z\n', encoding="utf-8")
    first, second = (record for record in read(path, file_format) if record.rows)
    assert (first.words, second.words) == (["a\nb", "c"], ["d"])
    assert first.where(1).endswith("in.csv:4")
    assert rewrite(path, file_format).read_bytes() == path.read_bytes()


def test_a_quoted_cell_may_cross_the_blocks_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_lines, "BLOCK_BYTES", 4)
    path = tmp_path / "in.csv"
    path.write_text('text,label\n"one\ntwo\nthree",a\n"four\n",b\nfive\n', encoding="utf-8")
    found = faults(path, TEXTS)
    assert found == ["in.csv:7: found 1 column, expected at least 2: task 'a' reads column 'label'"]


@pytest.mark.parametrize("rest", ["", "x\n" * 2000, 'a""b\n' * 2000], ids=["end", "many lines", "many quotes"])
def test_a_quote_that_does_not_end_is_one_fault(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f'text,label\na,b\n"c,d\n{rest}', encoding="utf-8")
    (line,) = faults(path, TEXTS)
    assert line.startswith("in.csv:3: found a cell that begins with a quote and has no second one, ")
    assert len(read(path, FileFormat(sent_idxs=(0,), quoting=False))) == 3 + rest.count("\n")


HEADERS = {
    "a missing column": ("text,labels\na,b\n", ["in.csv:1: found no column 'label' in the header, ", "'labels'?"]),
    "another separator": ("text;label\na;b\n", ['set "separator"']),
    "a column twice": ("text,label,label\na,b,c\n", ["in.csv:1: found several columns 'label'"]),
    "a row that is too long": ("text,label\na,b,c\n", ["in.csv:2: found 3 columns, but the header has 2"]),
    "a row that is too short": ("text,label\na\n", ["in.csv:2: found 1 column, expected at least 2"]),
}


@pytest.mark.parametrize(("content", "reported"), HEADERS.values(), ids=HEADERS)
def test_faults_of_headers(tmp_path: Path, content: str, reported: list[str]) -> None:
    path = tmp_path / "in.csv"
    path.write_text(content, encoding="utf-8")
    found = faults(path, TEXTS)
    assert all(part in found[0] for part in reported), found
    assert not any("expected at least" in line for line in found[1:]), found


SPACES = FileFormat(word_idx=0, label_columns=(3,), separator=" ")
CONLL_2003 = """\
-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects  VBZ B-VP O
# # B-NP O

-DOCSTART- -X- O O

# id = 3
Peter\tNNP  B-NP B-PER \r
# NN O O
"""


def test_columns_may_be_separated_by_spaces(tmp_path: Path) -> None:
    path = tmp_path / "in.conll"
    path.write_bytes(CONLL_2003.encode())
    records = [record for record in read(path, SPACES) if record.rows]
    assert [record.words for record in records] == [["EU", "rejects", "#"], ["Peter", "#"]]
    assert records[1].column(3) == ["B-PER", "O"]
    assert records[1].where(1).endswith(":11")
    assert records[1].comment("id") == "3"
    assert rewrite(path, SPACES).read_bytes() == path.read_bytes()
    for record in records:
        record.set_column(3, ["Z"] * len(record.rows))
    changed = "".join(record.text(Delimiter(" ")) for record in records)
    assert "rejects  VBZ B-VP Z\n# # B-NP Z\n" in changed
    assert "# id = 3\nPeter\tNNP  B-NP Z \r\n" in changed


def test_missing_columns_are_filled_and_labels_with_the_separator_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.conll"
    path.write_text("EU\nrejects VBZ\n", encoding="utf-8")
    assert rewrite(path, SPACES, {3: ["A", "B"]}).read_text() == "EU _ _ A\nrejects VBZ _ B\n"
    with pytest.raises(DataError, match=r"in\.conll:2: the label 'New York' contains the separator of columns"):
        rewrite(path, SPACES, {3: ["A", "New York"]})


@pytest.mark.parametrize(
    ("name", "content", "label", "found"),
    [
        ("in.tsv", "text\tlabel\na\tb\n", "x\ty", r"the label 'x\\ty' contains the separator of columns"),
        ("in.tsv", "text\tlabel\na\tb\n", "x\ny", r"the label 'x\\ny' contains a line feed"),
        ("in.psv", "text|label\na|b\n", "x\ny", r"the label 'x\\ny' contains a line feed"),
        ("in.psv", "text|label\na|b\n", "x|y", r"the label 'x\|y' contains the separator of columns"),
    ],
)
def test_labels_of_other_formats_are_refused_where_they_cannot_be_quoted(
    tmp_path: Path, name: str, content: str, label: str, found: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    separator = "|" if name == "in.psv" else None
    file_format = FileFormat(sent_idxs=("text",), label_columns=("label",), separator=separator)
    with pytest.raises(DataError, match=rf"{name}:2: {found}"):
        rewrite(path, file_format, {"label": [label]})
    assert not (tmp_path / "out").exists()


def test_a_comment_of_several_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.tsv"
    path.write_text("tokens\ttags\na\tX\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"in\.tsv:2: the label 'x\\ny' contains a line feed"):
        rewrite(path, TAGS, {"intent": ["x\ny"]})


def test_plain_text_may_have_tabs(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("a\tb\nc\n", encoding="utf-8")
    assert rewrite(path, FileFormat()).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("content", ["", "\n", "\ufeff", "\ntext,label\na,b\n"])
def test_a_missing_header_is_one_fault(tmp_path: Path, content: str) -> None:
    path = tmp_path / "in.csv"
    path.write_text(content, encoding="utf-8")
    assert faults(path, TEXTS) == ["in.csv:1: found an empty line, expected a header with the names of the columns"]


@pytest.mark.parametrize("name", ["in.tsv", "in.csv"])
def test_a_label_column_that_is_missing_is_added_to_the_header(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sign = "\t" if name == "in.tsv" else ","
    path.write_text(f"id{sign}text\r\n1{sign}a\r\n", encoding="utf-8", newline="")
    written = rewrite(path, TEXTS, {"label": ["yes"]}).read_bytes().decode()
    assert written == f"id{sign}text{sign}label\r\n1{sign}a{sign}yes\r\n"


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.floats(allow_nan=False)
OBJECTS = st.dictionaries(
    st.text(max_size=3),
    SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=2), SCALARS, max_size=2),
    max_size=3,
)


@settings(max_examples=150, deadline=None)
@given(
    objects=st.lists(OBJECTS, min_size=1, max_size=4),
    indents=st.sampled_from([(", ", ": "), (",", ":"), (" , ", "  :  ")]),
    ascii_only=st.booleans(),
    label=st.sampled_from(["new", 'a"\\', "5", "_", "x|y"]),
)
def test_json_lines_keep_every_other_key(
    tmp_path_factory: pytest.TempPathFactory,
    objects: list[dict[str, Any]],
    indents: tuple[str, str],
    ascii_only: bool,
    label: str,
) -> None:
    objects = [{**given, "text": f"t{index}"} for index, given in enumerate(objects)]
    objects = [{key: value for key, value in given.items() if key != "label"} for given in objects]
    objects[0]["label"] = "old"
    path = tmp_path_factory.mktemp("json") / "in.jsonl"
    lines = [json.dumps(given, ensure_ascii=ascii_only, separators=indents) for given in objects]
    path.write_bytes("\n".join(lines).encode())
    assert [record.words for record in read(path, TEXTS, training=False)] == [[given["text"]] for given in objects]
    assert rewrite(path, TEXTS).read_bytes() == path.read_bytes()
    written = rewrite(path, TEXTS, {"label": [label]}).read_text(encoding="utf-8").split("\n")
    for number, (before, line) in enumerate(zip(objects, written, strict=True)):
        new = label if number == 0 or label not in ("5", "_") else {"5": 5}.get(label)
        expected = {**before, "label": new}
        if new is None:
            del expected["label"]
        assert list(json.loads(line).items()) == list(expected.items())


VALUES = [
    (None, "_"),
    (True, "true"),
    ("a", "a"),
    (["a", "b"], "a|b"),
    ([], "_"),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_values_are_cells_and_back(value: Any, text: str) -> None:
    assert to_text(value) == text
    assert to_value(text, value) == value


SENTENCE = '{"id": 1.50, "tokens": ["a", "b"], "tags": ["X", null], "intent": "ask", "other": {"k": [1]}}\n'


def test_lists_are_words_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(SENTENCE + "\n" + '{"tokens": [], "tags": []}\n', encoding="utf-8")
    first, _, empty = read(path, TAGS, training=False)
    assert first.words == ["a", "b"] and first.column("tags") == ["X", "_"]
    assert first.comment("intent") == "ask" and first.column("intent") == ["ask", "ask"]
    assert not empty.rows
    written = rewrite(path, TAGS, {"tags": ["Y", "Z"], "intent": ["tell"]}).read_text()
    assert written.startswith(SENTENCE.replace('["X", null]', '["Y", "Z"]').replace("ask", "tell"))
    assert rewrite(path, TAGS).read_bytes() == path.read_bytes()


JSON_FAULTS = {
    "no JSON": ("{", "in.jsonl:1: found no JSON (Expecting property name enclosed in double quotes at column 3)"),
    "a value": ("1", "in.jsonl:1: found a JSON value, expected one JSON object per line"),
    "a list": ("[{}]", "in.jsonl:1: found a JSON list, expected one object per line; convert"),
    "a list of many lines": ("[\n{}\n]", "in.jsonl:1: found a JSON list, expected one object per line; convert"),
    "deep nesting": ('{"tokens":' + "[" * 10**5, "in.jsonl:1: found deeply nested values"),
    "a number of many digits": ('{"tags": [], "intent": 0, "tokens": ' + "1" * 10**4 + "}", "in.jsonl:1: found '1"),
    "no words": (
        '{"token": ["a"], "tags": ["X"], "intent": "x"}',
        "in.jsonl:1: found no 'tokens', which word_idx reads; did you mean 'token'?",
    ),
    "a text as words": (
        '{"tokens": "a", "tags": ["X"], "intent": "x"}',
        "in.jsonl:1: found 'a' in 'tokens', expected a list",
    ),
    "null as words": (
        '{"tokens": null, "tags": [], "intent": "x"}',
        "in.jsonl:1: found null in 'tokens', expected a list",
    ),
    "another length": (
        '{"tokens": ["a"], "tags": ["X", "Y"], "intent": "x"}',
        "in.jsonl:1: found 2 items in 'tags', expected 1, one per word of 'tokens'",
    ),
    "an object as label": (
        '{"tokens": ["a"], "tags": [{}], "intent": "x"}',
        "in.jsonl:1: found a value of type object in 'tags', expected a text, a number or a list of labels",
    ),
    "half of a surrogate pair": (
        r'{"tokens": ["\ud800"], "tags": ["X"], "intent": "x"}',
        "in.jsonl:1: found half of a surrogate pair in 'tokens', expected whole characters",
    ),
}


@pytest.mark.parametrize(("content", "reported"), JSON_FAULTS.values(), ids=JSON_FAULTS)
def test_faults_of_json_lines(tmp_path: Path, content: str, reported: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(content + "\n", encoding="utf-8")
    found = faults(path, TAGS)
    assert found[0].startswith(reported), found


def test_a_long_line_of_json_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE", 20)
    path = tmp_path / "in.jsonl"
    path.write_text(SENTENCE, encoding="utf-8")
    assert "of which 20 are allowed" in faults(path, TAGS)[0]


CONTENTS = {"in.conllu": "1\ta\tX\n\n", "in.csv": "text,label\na,b\n", "in.jsonl": '{"text": "a", "label": "b"}\n'}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("zipped", [True, False], ids=["from gzip", "from text"])
def test_files_may_be_compressed(tmp_path: Path, name: str, zipped: bool) -> None:
    content = CONTENTS[name].encode()
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(content) if zipped else content)
    file_format = FileFormat(word_idx=1) if name == "in.conllu" else TEXTS
    assert rewrite(path, file_format, name="out").read_bytes() == content
    written = rewrite(path, file_format, name="out.gz").read_bytes()
    assert gzip.decompress(written) == content
    assert rewrite(path, file_format, name="again.gz").read_bytes() == written


def test_damaged_and_unusually_large_gzip_files_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\na,b\n" * 100)[:-9])
    assert "the gzip file is damaged" in faults(path, TEXTS)[0]
    path.write_bytes(gzip.compress(b"text,label\n" + b"a" * 10**6))
    monkeypatch.setattr(data_lines, "UNLIMITED_BYTES", 10**4)
    (line,) = faults(path, TEXTS)
    assert "expands to more than 100 times its size" in line


FEATURES = {
    "tokens": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
    "tags": {"feature": {"names": ["O", "B-PER"], "_type": "ClassLabel"}, "length": -1, "_type": "Sequence"},
    "intent": {"names": ["ask", "tell"], "_type": "ClassLabel"},
}
METADATA = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}
COLUMNS = {
    "id": [2**60, None, 7],
    "tokens": [["a", "b"], [], ["c"]],
    "tags": [[0, 1], [], [1]],
    "intent": [1, 0, -1],
    "vector": [[0.1], [], None],
}


def table(columns: dict[str, Any] = COLUMNS, metadata: Any = METADATA) -> pyarrow.Table:
    return pyarrow.table(columns).replace_schema_metadata(metadata)


def write_table(path: Path, content: pyarrow.Table) -> None:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(content, path)
        return
    new = pyarrow.ipc.new_stream if path.stem == "stream" else pyarrow.ipc.new_file
    with new(str(path), content.schema) as writer:
        writer.write_table(content)


def read_table(path: Path, like: Path) -> pyarrow.Table:
    if like.suffix == ".parquet":
        return pyarrow.parquet.read_table(path)
    return (pyarrow.ipc.open_stream if like.stem == "stream" else pyarrow.ipc.open_file)(path.read_bytes()).read_all()


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "stream.arrow"])
def test_tables_keep_their_other_values(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_table(path, table())
    records = read(path, TAGS)
    assert [record.words for record in records] == [["a", "b"], [], ["c"]]
    assert [record.column("tags") for record in records] == [["O", "B-PER"], [], ["B-PER"]]
    assert [record.comment("intent") for record in records] == ["tell", "ask", None]
    same = read_table(rewrite(path, TAGS), path)
    assert same.equals(read_table(path, path), check_metadata=True)
    # Two words, then one: the same labels for each record.
    changed = tmp_path / "changed"
    with record_writer(changed, path, TAGS) as write:
        for record in read(path, TAGS):
            if record.rows:
                record.set_column("tags", ["O"] * len(record.rows))
                record.set_column("intent", ["ask"])
            write(record)
    found = read_table(changed, path)
    assert found.to_pydict() == {**COLUMNS, "tags": [[0, 0], [], [0]], "intent": [0, 0, 0]}
    assert found.schema.equals(same.schema, check_metadata=True)


def test_new_columns_of_tables_have_the_type_of_their_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, table({"text": ["a", "b"], "label": ["x", "y"]}, None))
    file_format = FileFormat(sent_idxs=("text",), label_columns=("label", "number", "score", "name"))
    new = {"label": ["3"], "number": ["4"], "score": ["0.5"], "name": ["z"]}
    found = read_table(rewrite(path, file_format, new), path)
    assert found.to_pydict() == {
        "text": ["a", "b"], "label": ["3", "3"], "name": ["z", "z"], "number": [4, 4], "score": [0.5, 0.5]
    }
    # A label that is no class of the feature makes the column one of texts.
    write_table(path, table())
    found = read_table(rewrite(path, TAGS, {"intent": ["new"]}), path)
    assert found.column("intent").to_pylist()[0] == "new"


def folder_of(path: Path, files: dict[str, pyarrow.Table], **documents: Any) -> Path:
    path.mkdir()
    for name, content in files.items():
        write_table(path / name, content)
    for name, document in documents.items():
        (path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return path


def test_folders_of_hugging_face_are_read_as_one_file(tmp_path: Path) -> None:
    listed = {"_data_files": [{"filename": "stream.arrow"}, {"filename": "b.arrow"}]}
    saved = folder_of(
        tmp_path / "saved",
        {"stream.arrow": table(metadata=None), "b.arrow": table(metadata=None), "c.arrow": table()},
        state=listed,
        dataset_info={"features": FEATURES},
    )
    records = read(saved, TAGS)
    assert [record.column("tags") for record in records] == [["O", "B-PER"], [], ["B-PER"]] * 2
    assert records[-1].where() == f"{saved}:6"
    written = rewrite(saved, TAGS, name="out.arrow")
    assert pyarrow.ipc.open_stream(written.read_bytes()).read_all().num_rows == 6
    assert [record.rows for record in read(written, TAGS)] == [record.rows for record in records]
    shards = {f"train-0000{number}-of-00002.parquet": table() for number in (0, 1)}
    assert len(read(folder_of(tmp_path / "shards", shards), TAGS)) == 6


def test_folders_that_are_no_dataset_are_one_line(tmp_path: Path) -> None:
    splits = folder_of(tmp_path / "splits", {}, dataset_dict={"splits": ["train", "test"]})
    assert "is a folder of several datasets, expected one of them: " in faults(splits, TAGS)[0]
    mixed = folder_of(tmp_path / "mixed", {"train-0-of-1.parquet": table(), "test-0-of-1.parquet": table()})
    assert "found the files of several datasets (test, train)" in faults(mixed, TAGS)[0]
    outside = folder_of(tmp_path / "outside", {"a.arrow": table()}, state={"_data_files": [{"filename": "../b"}]})
    assert "names files that are not in the folder" in faults(outside, TAGS)[0]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"x" * 50 + b"PAR1", b"ARROW1\0\0", b"text\n" * 9])
def test_damaged_tables_are_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    (line,) = faults(path, TAGS)
    assert line.startswith("a.parquet: cannot be read as Arrow or Parquet (")


def test_faults_of_tables_name_the_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, table({"tokens": [["a"], ["b"]], "tags": [["X"], ["X", "Y"]], "intent": ["a", "b"]}, None))
    assert faults(path, TAGS) == ["a.parquet:2: found 2 items in 'tags', expected 1, one per word of 'tokens'"]
    write_table(path, table({"text": [b"a"], "label": [None]}, None))
    assert "a value of type bytes in 'text'" in faults(path, TEXTS)[0]


def test_the_suffix_says_which_format_a_file_has() -> None:
    expected = {"a.CSV": "csv", "a.json.gz": "jsonl", "a.gz": "tsv", "a": "tsv", "x.parquet": "parquet"}
    assert {name: format_of(name) for name in expected} == expected


def test_a_list_in_the_list_of_words_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"tokens": [["a", "b"], "c"], "tags": ["X", "Y"]}\n', encoding="utf-8")
    assert faults(path, FileFormat(word_idx="tokens", label_columns=("tags",))) == [
        "in.jsonl:1: found a list in a list in 'tokens', expected a list of words"
    ]


@pytest.mark.parametrize(
    "kind", [pyarrow.null(), pyarrow.string(), pyarrow.dictionary(pyarrow.int8(), pyarrow.string())]
)
def test_a_column_of_labels_without_any_list_gets_lists(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"tokens": [["a", "b"]], "tags": pyarrow.array([None], kind)}), path)
    file_format = FileFormat(word_idx="tokens", label_columns=("tags",))
    written = rewrite(path, file_format, {"tags": ["X", "Y"]}, name="out.parquet")
    assert pyarrow.parquet.read_table(written).to_pylist() == [{"tokens": ["a", "b"], "tags": ["X", "Y"]}]


@pytest.mark.parametrize("names", [["text", "text", "label"], ["text", "label", "label"]])
def test_arrow_columns_with_the_same_name_are_one_fault(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 3, names=names), path)
    (fault,) = faults(path, TEXTS)
    assert fault in [f"in.parquet: found several columns '{name}', expected one" for name in ("text", "label")]


def test_arrow_text_that_is_not_utf_8_is_one_fault(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    offsets, content = pyarrow.py_buffer(b"\0\0\0\0\2\0\0\0"), pyarrow.py_buffer(b"\xff\xfe")
    texts = pyarrow.StringArray.from_buffers(1, offsets, content)
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": ["X"]}), path)
    (fault,) = faults(path, TEXTS)
    assert fault.startswith("in.parquet: cannot be read as Arrow or Parquet (In column 0: Invalid: Invalid UTF8")


def test_arrow_names_that_are_not_utf_8_are_one_fault(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "label": ["b"]}), path)
    path.write_bytes(path.read_bytes().replace(b"label", b"l\xefbel"))
    (fault,) = faults(path, TEXTS)
    assert fault.startswith("in.parquet: cannot be read as Arrow or Parquet (")


def test_a_folder_of_arrow_files_with_other_dictionaries_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number, lang in enumerate(["en", "de"]):
        langs = pyarrow.array([lang]).dictionary_encode()
        table = pyarrow.table({"text": ["a"], "label": ["x"], "lang": langs})
        with pyarrow.ipc.new_file(str(folder / f"train-{number}-of-2.arrow"), table.schema) as sink:
            sink.write_table(table)
    written = rewrite(folder, TEXTS, {"label": ["y"]})
    records = read(written, FileFormat(sent_idxs=("lang",), label_columns=("label",), name="arrow"))
    assert [record.rows[0] for record in records] == [["en", "y"], ["de", "y"]]
