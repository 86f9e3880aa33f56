"""What a file says is read by its rules, and goes back to the file byte for byte."""

import bz2
import gzip
import lzma
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machamp_lite.data.raw_text import RawTextColumns, raw_text_record, read_raw_text, split_at_white_space
from machamp_lite.data.records import FileFormat, Record, read_records
from machamp_lite.errors import FAULTS_SHOWN, DataError, FaultList

UD = FileFormat(word_idx=1)
PLAIN = FileFormat(word_idx=0)
PAIRS = FileFormat(sent_idxs=(0, 1))


def read(
    folder: Path,
    content: bytes | str,
    file_format: FileFormat = UD,
    *,
    raw_text_columns: int | None = None,
    **options: object,
) -> list[Record]:
    path = folder / "file.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if raw_text_columns is not None:
        columns = RawTextColumns(raw_text_columns, file_format.word_idx or 0)
        return [
            raw_text_record(str(path), number, text, split_at_white_space(text), columns)
            for number, text in read_raw_text(path)
        ]
    return list(read_records(path, file_format, **options))  # type: ignore[arg-type]


def faults(folder: Path, content: bytes | str, file_format: FileFormat = UD, **options: object) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(folder, content, file_format, **options)
    return [fault.removeprefix(f"{folder}/") for fault in caught.value.faults]


def words(records: list[Record]) -> list[list[str]]:
    return [record.words for record in records if record.rows]


HABITS = {
    "a last sentence without a blank line": (PLAIN, "a\tX\n\nb\tY\n", [["a"], ["b"]]),
    "a last line without an end": (PLAIN, "a\tX\n\nb\tY", [["a"], ["b"]]),
    "several blank lines": (PLAIN, "\n\na\tX\n\n\n\nb\tY\n\n\n", [["a"], ["b"]]),
    "lines of tabs and spaces": (PLAIN, "a\tX\n\t\nb\tY\n \t \n", [["a"], ["b"]]),
    "Windows line ends": (PLAIN, "a\tX\r\nb\tY\r\n\r\nc\tX\r\n", [["a", "b"], ["c"]]),
    "mixed line ends": (PLAIN, "a\tX\r\nb\tY\n\r\nc\tX", [["a", "b"], ["c"]]),
    "a byte order mark": (PLAIN, "\ufeffa\tX\n", [["a"]]),
    "a byte order mark before a comment": (PLAIN, "\ufeff# x\na\tX\n", [["a"]]),
    "characters that end lines elsewhere": (
        PLAIN,
        "a\x0bb\tX\x85\nc\u2028d\t\x0c\n",
        [["a\x0bb", "c\u2028d"]],
    ),
    "# as a word": (PLAIN, "#\tX\na\tY\n", [["#", "a"]]),
    "# as every word": (PLAIN, "#\tX\n#\tY\n", [["#", "#"]]),
    "a hash tag in a file of one column": (PLAIN, "#tag\nb\n", [["#tag", "b"]]),
    "a comment in a file of one column": (PLAIN, "# a comment\nb\n", [["b"]]),
    "a comment with tabs": (PLAIN, "# text = a\tb\tc\na\tX\n", [["a"]]),
    "a comment with as many tabs as a row": (PLAIN, "# text =\ta\na\tX\n", [["a"]]),
    "a comment without a space": (UD, "#newdoc\n1\ta\n", [["a"]]),
    "a block of comments alone": (UD, "# a\n# b\n\n#newdoc\n\n1\ta\n", [["a"]]),
    "a comment after the first word": (PLAIN, "a\tX\n# b\tY\n", [["a", "# b"]]),
    "multiword rows": (UD, "1-2\tim\n1\tin\n2\tdem\n", [["in", "dem"]]),
    "empty nodes": (UD, "0.1\tx\n1\ta\n1.1\ty\n2\tb\n", [["a", "b"]]),
    "ids that do not start at 1": (UD, "7\ta\n9\tb\n", [["a", "b"]]),
    "rows that only look like ids": (UD, "1-2\tx\nA\ty\n", [["x", "y"]]),
    "words that look like empty nodes": (PLAIN, "8.1\tX\n1-2\tY\n", [["8.1", "1-2"]]),
    "empty columns": (PLAIN, "a\t\t\t\nb\t\tX\t\n", [["a", "b"]]),
    "rows of different lengths": (PLAIN, "a\nb\tX\tY\nc\tX\n", [["a", "b", "c"]]),
    "a header": (FileFormat(word_idx=0, skip_first_line=True), "word\ttag\na\tX\n", [["a"]]),
    "a header after a byte order mark": (FileFormat(word_idx=0, skip_first_line=True), "\ufeffw\na\n", [["a"]]),
    "pairs": (PAIRS, "a b\tc\tyes\nd\te f\tno", [["a b", "c"], ["d", "e f"]]),
    "pairs with blank lines": (PAIRS, "\na\tb\r\n\n\t\nc\td\n", [["a", "b"], ["c", "d"]]),
    "pairs that start with #": (PAIRS, "# a\tb\n#\t#\n", [["# a", "b"], ["#", "#"]]),
    "an empty text of a pair": (PAIRS, "\tb\n", [["", "b"]]),
    "columns in another order": (FileFormat(sent_idxs=(2, 0)), "a\tx\tb\n", [["b", "a"]]),
    "a hashtag as the first word": (PLAIN, "#MeToo\tO\nis\tO\n\n#tag\tO\n", [["#MeToo", "is"], ["#tag"]]),
    "a hashtag above a row with more columns": (PLAIN, "#MeToo\tO\nis\tO\t\n", [["#MeToo", "is"]]),
    "a hashtag above a row with fewer columns": (
        PLAIN,
        "#MeToo\tO\tx\n#\tO\tx\nis\tO\n",
        [["#MeToo", "#", "is"]],
    ),
    "a comment without spaces above a hashtag": (
        PLAIN,
        "#a=b\tc\td\n#newdoc\n#tag\tO\nis\tO\n",
        [["#tag", "is"]],
    ),
    "a document mark": (PLAIN, "-DOCSTART-\t-X-\t-X-\tO\n\nEU\tNNP\tB\tO\n", [["EU"]]),
    "a document mark with spaces": (PLAIN, "-DOCSTART- -X- -X- O\r\n\r\nEU\tNNP\r\n", [["EU"]]),
    "a document mark with a name": (PLAIN, "# x = y\n-DOCSTART- (a1)\tO\n\na\tO\n", [["a"]]),
    "a document mark right above words": (PLAIN, "-DOCSTART-\tO\n# x\nEU\tO\nis\tO\n", [["EU", "is"]]),
    "a document mark in the second column": (UD, "0\t-DOCSTART-\tO\n\n1\tEU\tO\n", [["EU"]]),
    "words like a document mark": (PLAIN, "-DOCSTART-s\tO\na\t-DOCSTART-\n", [["-DOCSTART-s", "a"]]),
}


@pytest.mark.parametrize(("file_format", "content", "expected"), HABITS.values(), ids=HABITS)
def test_every_habit_of_a_file_is_read_and_written_back(
    tmp_path: Path, file_format: FileFormat, content: str, expected: list[list[str]]
) -> None:
    records = read(tmp_path, content, file_format)
    assert words(records) == expected
    assert "".join(record.text() for record in records) == content


token = st.text(st.sampled_from("ab#1_.-= \u00e9\u3042"), min_size=1, max_size=4)
line_end = st.sampled_from(["\n", "\n", "\r\n"])


@st.composite
def conll_files(draw: st.DrawFn) -> str:
    """Files with comments, multiword rows, empty nodes, ragged rows, and blank lines of every kind."""
    lines = draw(st.lists(st.sampled_from(["", "\t", " "]), max_size=1))
    for _ in range(draw(st.integers(1, 4))):
        lines += draw(st.lists(st.sampled_from(["# text = a\tb", "#newdoc", "# x", "#\tx", "#"]), max_size=2))
        for number in range(1, draw(st.integers(0, 4)) + 1):
            columns = draw(st.lists(token, min_size=1, max_size=4))
            ids = st.sampled_from([str(number), f"{number}-{number + 1}", f"{number}.1", "x"])
            lines.append("\t".join([draw(ids), *columns]))
        lines += draw(st.lists(st.sampled_from(["", "\t", "\t\t", " "]), min_size=1, max_size=3))
    text = "".join(line + draw(line_end) for line in lines)
    return draw(st.sampled_from(["", "\ufeff"])) + (text if draw(st.booleans()) else text.rstrip())


@settings(max_examples=150, deadline=None)
@given(
    content=conll_files(),
    file_format=st.sampled_from([UD, PLAIN, PAIRS, FileFormat(word_idx=1, skip_first_line=True)]),
)
def test_the_texts_of_all_records_are_the_file(content: str, file_format: FileFormat) -> None:
    with tempfile.TemporaryDirectory() as folder:
        texts = []
        path = Path(folder) / "file"
        path.write_bytes(content.encode())
        # A file without sentences is a fault, which is reported after the last record.
        with suppress(DataError):
            for record in read_records(path, file_format):
                assert len(record.rows) == len(record.row_lines)
                texts.append(record.text())
        assert "".join(texts).encode() == content.encode()


@settings(max_examples=50, deadline=None)
@given(content=conll_files())
def test_a_column_set_to_what_it_was_changes_nothing(content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(("1\ta\n\n" + content.lstrip("\ufeff")).encode())
        for record in read_records(path, UD):
            before = record.text()
            narrowest = min(map(len, record.rows), default=0)
            for column in range(narrowest):
                values = record.column(column)
                record.set_column(column, ["other"] * len(values))
                record.set_column(column, values)
            assert record.text() == before


@st.composite
def tagged_files(draw: st.DrawFn) -> list[list[list[str]]]:
    """Sentences of words in the first column, hashtags too, with rows of different lengths."""
    words = st.one_of(
        st.sampled_from(["#", "#MeToo", "##", "#1", "-DOCSTART-s"]), st.text("ab#é-", min_size=1, max_size=3)
    )
    rows = st.lists(st.sampled_from(["O", "", "#x", "_"]), min_size=1, max_size=3)
    sentences = st.lists(st.tuples(words, rows).map(lambda row: [row[0], *row[1]]), min_size=1, max_size=3)
    return draw(st.lists(sentences, min_size=1, max_size=3))


@settings(max_examples=150, deadline=None)
@given(sentences=tagged_files(), comment=st.sampled_from(["", "# x = y\n", "#newdoc\n", "# text = a\tb\n"]))
def test_no_word_is_taken_for_a_comment(sentences: list[list[list[str]]], comment: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        blocks = [comment + "".join("\t".join(row) + "\n" for row in rows) for rows in sentences]
        path.write_text("\n".join(blocks), encoding="utf-8")
        assert words(list(read_records(path, PLAIN))) == [[row[0] for row in rows] for rows in sentences]


def test_ids_are_the_positions_of_words(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "3-4\tx\n3\ta\n4\tb\n8\tc\n8.1\ty\n")
    assert record.ids == {"3": 1, "4": 2, "8": 3}
    assert record.column(0) == ["3", "4", "8"]
    assert [record.where(row) for row in range(3)] == [f"{tmp_path}/file.txt:{line}" for line in (2, 3, 4)]


@pytest.mark.parametrize("content", ["A\ta\nB\tb\n", "5\ta\n5\tb\n"])
def test_a_first_column_of_something_else_holds_no_ids(tmp_path: Path, content: str) -> None:
    (record,) = read(tmp_path, content)
    assert record.ids is None
    assert record.words == ["a", "b"]


def test_missing_columns_read_as_empty_and_are_filled_when_written(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "1\ta\r\n2\tb\tX\tY\n")
    assert record.column(2) == ["_", "X"]
    record.set_column(4, ["P", "Q"])
    assert record.text() == "1\ta\t_\t_\tP\r\n2\tb\tX\tY\tQ\n"


COMMENTS = {
    "# mood = good": "good",
    "# mood: good": "good",
    "#mood=good": "good",
    "#  mood  =  a b = c ": "a b = c",
    "# mood =": "",
    "# moods = good": None,
    "# my mood = good": None,
    "# mood good": None,
}


@pytest.mark.parametrize(("line", "expected"), COMMENTS.items())
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_comment_is_read_by_its_name_and_written_in_its_place(
    tmp_path: Path, line: str, end: str, expected: str | None
) -> None:
    content = f"# other = x{end}{line}{end}1\ta{end}"
    (record,) = read(tmp_path, content)
    assert record.comment("mood") == expected
    if expected is None:
        record.set_comment("mood", "new")
        assert record.text() == content.replace("1\ta", f"# mood = new{end}1\ta")
    else:
        record.set_comment("mood", "new")
        assert record.comment("mood") == "new"
        record.set_comment("mood", expected)
        assert record.text() == content


ABOVE = {
    "words": "",
    "a multiword row": "1-2\tim\t_\n",
    "an empty node": "0.1\tx\t_\n",
    "both": "0.1\tx\t_\n1-2\tim\t_\n",
}
LEADING = {
    "comments": "# text = im\n#newdoc\n",
    "no comments": "",
    "a document mark": "# x\n-DOCSTART-\t-X-\tO\n",
}


@pytest.mark.parametrize("above", ABOVE.values(), ids=ABOVE)
@pytest.mark.parametrize("leading", LEADING.values(), ids=LEADING)
def test_a_new_comment_follows_the_leading_ones_and_comes_before_rows_of_every_kind(
    tmp_path: Path, leading: str, above: str
) -> None:
    rows = above + "1\tin\t_\n2\tdem\t_\n\n"
    (record,) = read(tmp_path, leading + rows)
    record.set_comment("mood", "good")
    record.set_comment("degree", "1")
    assert record.text() == f"{leading}# mood = good\n# degree = 1\n{rows}"
    record.set_column(2, ["X", "Y"])
    (again,) = read(tmp_path, record.text())
    assert (again.comment("mood"), again.words, again.column(2)) == ("good", ["in", "dem"], ["X", "Y"])


def test_every_comment_of_a_name_is_written(tmp_path: Path) -> None:
    content = "# mood = good\n# x\n#mood:  bad \n1\ta\n"
    (record,) = read(tmp_path, content)
    assert record.comment("mood") == "good"
    record.set_comment("mood", "new")
    assert record.text() == "# mood = new\n# x\n#mood:  new \n1\ta\n"


def test_a_comment_whose_name_is_a_pattern_is_only_itself(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "# axb = 1\n# a.b = 2\n1\tw\n")
    assert record.comment("a.b") == "2"
    assert record.comment_names() == ["axb", "a.b"]


def test_a_comment_can_be_added_to_a_last_line_without_an_end(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "1\ta")
    record.set_comment("mood", "good")
    record.set_column(2, ["X"])
    assert record.text() == "# mood = good\n1\ta\tX"


RAW_LINES = {
    "spaces": ("a  b", ["a", "b"]),
    "tabs": ("a\t\tb .", ["a", "b", "."]),
    "spaces of other kinds": ("a\u00a0b\u2028c\u3000d", ["a", "b", "c", "d"]),
    "spaces at its ends": ("\t a \u00a0b \t", ["a", "b"]),
    "a comment": ("# a = b", ["#", "a", "=", "b"]),
}


@pytest.mark.parametrize(("line", "expected"), RAW_LINES.values(), ids=RAW_LINES)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_text_of_raw_text_is_the_line_as_it_is(
    tmp_path: Path, line: str, expected: list[str], end: str
) -> None:
    (record,) = read(tmp_path, line + end, raw_text_columns=3)
    assert record.words == expected
    assert record.lines[0] == f"# text = {line.strip()}\n"
    assert record.comment("text") == line.strip()


def test_raw_text_becomes_rows_of_columns(tmp_path: Path) -> None:
    records = read(tmp_path, "The  dog\tsleeps .\r\n\n  \n# yes", raw_text_columns=4)
    assert words(records) == [["The", "dog", "sleeps", "."], ["#", "yes"]]
    assert records[1].text() == "# text = # yes\n1\t#\t_\t_\n2\tyes\t_\t_\n\n"
    assert records[0].ids == {"1": 1, "2": 2, "3": 3, "4": 4}


def test_raw_text_has_no_header(tmp_path: Path) -> None:
    records = read(tmp_path, "a b\nc", FileFormat(word_idx=0, skip_first_line=True), raw_text_columns=2)
    assert words(records) == [["a", "b"], ["c"]]
    assert records[0].text() == "# text = a b\na\t_\nb\t_\n\n"


FORMATS: dict[str, tuple[bytes, str]] = {
    **{
        f"{name} {kind}": (
            text.encode(encoding),
            f"found {found}, expected UTF-8; convert it, for example with ",
        )
        for name, text in {
            "English": "# text = a b\n1\ta\tX\n2\tb\tY\n\n" * 4,
            "Russian": "1\tМосква\tX\n2\tб\tY\n\n" * 4,
            "Chinese": "猫\t猫が好\n你好 世界\tY\n" * 4,
        }.items()
        for kind, encoding, found in [
            ("with a mark", "utf-16", "UTF-16"),
            ("big-endian with a mark", "utf-16-be", "UTF-16"),
            ("without a mark", "utf-16-le", "UTF-16LE"),
            ("big-endian without a mark", "utf-16-be", "UTF-16BE"),
            ("in four bytes", "utf-32", "UTF-32"),
            ("in four bytes without a mark", "utf-32-le", "UTF-32LE"),
        ]
    },
    "gzip, compressed twice": (
        gzip.compress(gzip.compress(b"1\ta\n", mtime=0), mtime=0),
        "found a gzip file in a gzip file, expected text; unpack it with gunzip",
    ),
    "a Parquet file": (b"PAR1\x15\x04", 'found a Parquet file; set "format": "parquet"'),
    "an Arrow file": (b"ARROW1\0\0", 'found an Arrow file; set "format": "arrow"'),
    "bzip2": (bz2.compress(b"1\ta\n"), "found a bzip2 file, expected text; unpack it with bunzip2"),
    "xz": (lzma.compress(b"1\ta\n"), "found an xz file, expected text; unpack it with unxz"),
    "zip": (b"PK\x03\x04\x14\0\0\0\x08\0", "found a zip file (or one of Word, Excel or "),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\0", "found a zstd file, expected text; unpack it with unzstd"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\n", "found a PDF file, expected text"),
    "the line ends of old Macs": (
        b"1\ta\r2\tb\r\r1\tc\r",
        "found lines that end with CR alone, expected LF or CRLF; convert it, for example with tr '\\r' '\\n'",
    ),
    "mostly the line ends of old Macs": (
        b"# x\n1\ta\r2\tb\r\r1\tc\n",
        "found lines that end with CR alone, ",
    ),
}
for name in ("English", "Russian", "Chinese"):
    content, reported = FORMATS[f"{name} big-endian with a mark"]
    FORMATS[f"{name} big-endian with a mark"] = (b"\xfe\xff" + content, reported)


@pytest.mark.parametrize(("content", "reported"), FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("options", [{}, {"raw_text_columns": 2}], ids=["columns", "raw text"])
def test_a_file_of_another_format_is_one_line_that_names_it(
    tmp_path: Path, content: bytes, reported: str, options: dict[str, object]
) -> None:
    (line,) = faults(tmp_path, content, **options)
    assert line.startswith(f"file.txt: {reported}")
    for file_format in (PAIRS, FileFormat()):
        assert faults(tmp_path, content, file_format) == [line]


LOOKALIKES = {
    "NUL bytes": "1\ta\0b\n2\t\0\n3\tc\n",
    "NUL bytes after white space": "1\t\0a\n\0" + "2\tb c\n" * 9,
    "a CR inside a cell": "1\ta\rb\n2\tc\n",
    "a CR at the end of the file": "1\ta\r",
    "several CRs at the end of a line": "1\ta\r\r\n2\tb\r\n",
    "a word of a format": "1\tBZh9\n",
}


@pytest.mark.parametrize("content", LOOKALIKES.values(), ids=LOOKALIKES)
def test_odd_characters_are_no_other_format(tmp_path: Path, content: str) -> None:
    assert "".join(record.text() for record in read(tmp_path, content)) == content


NOTHING = {"nothing": "", "blank lines": "\n\n", "comments": "# a\n\n# b\n", "a byte order mark": "\ufeff"}


@pytest.mark.parametrize("content", NOTHING.values(), ids=NOTHING)
@pytest.mark.parametrize("file_format", [UD, FileFormat(word_idx=1, skip_first_line=True)])
def test_a_file_without_sentences_is_a_fault(tmp_path: Path, content: str, file_format: FileFormat) -> None:
    assert faults(tmp_path, content, file_format) == ["file.txt: no sentences found, expected at least one"]


def test_rows_that_lack_a_column_are_reported_with_line_found_expected_and_reader(tmp_path: Path) -> None:
    required = {1: "word_idx", 3: "task 'upos'"}
    assert faults(tmp_path, "# x\n1\ta\tb\tX\n2\n\n1\tb\tc\n", required=required) == [
        "file.txt:3: found 1 column, expected at least 4: word_idx reads column 1, counted from 0",
        "file.txt:5: found 3 columns, expected at least 4: task 'upos' reads column 3, counted from 0",
    ]


def test_bytes_that_are_no_utf8_are_reported_with_the_other_faults(tmp_path: Path) -> None:
    content = b"1\ta\n2\tf\xfcr\n3\n"
    first, second = faults(tmp_path, content, required={1: "word_idx"})
    assert first.startswith("file.txt:2: found the byte 0xfc at column 4, expected UTF-8")
    assert second.startswith("file.txt:3: found 1 column")


def test_faults_that_differ_only_in_their_lines_are_one_line_with_a_count(tmp_path: Path) -> None:
    for_reader = FaultList()
    for_reader.add("from the reader of the records")
    reported = faults(tmp_path, b"\xff\n" * 30, PLAIN, required={1: "x"}, faults=for_reader)
    assert reported[0] == "from the reader of the records"
    assert sorted(line.partition(": ")[2][:9] for line in reported[1:]) == ["found 1 c", "found the"]
    for line in reported[1:]:
        assert line.startswith("file.txt:1: ")
        assert line.endswith(" (and 29 more lines like it: 2, 3, 4, ...)")
    reported = faults(tmp_path, b"\xff\n" * 2, PLAIN)
    assert reported[0].endswith(" (and 1 more line like it: 2)")


def test_nineteen_kinds_of_faults_are_listed_and_all_faults_are_counted(tmp_path: Path) -> None:
    content = b"".join(b"a" * number + b"\xff\n" for number in range(30))
    reported = faults(tmp_path, content + content, PLAIN)
    assert len(reported) == FAULTS_SHOWN + 1
    assert reported[0].startswith("file.txt:1: ") and reported[0].endswith(" (and 1 more line like it: 31)")
    assert reported[-1] == f"file.txt: 60 faults in all; the first {FAULTS_SHOWN} kinds are listed"
    assert (
        len(faults(tmp_path, b"".join(content.splitlines(keepends=True)[:FAULTS_SHOWN]), PLAIN))
        == FAULTS_SHOWN
    )


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_path_that_cannot_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"^[^\n]*: cannot be read \([^\n]*\)$"):
        list(read_records(tmp_path / name, UD))
