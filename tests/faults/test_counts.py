"""As many sentences and rows come out of prediction as went in, in order, and all else is the same byte for byte."""

import re
import tempfile
from pathlib import Path

import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model

pytestmark = pytest.mark.slow

# The columns and comments that the tasks of the model write.
WRITTEN = {"UD": (2, 3, 5, 6, 7, 8), "PAIRS": (2, 3)}
COMMENT = re.compile(r"(# ?(?:mood|degree)\s*[=:]).*")
# Those that prediction adds, in this order.
ADDED = ("# degree =", "# mood =")


@pytest.fixture(scope="module")
def model(many_tasks: Path) -> Model:
    """A barely trained model of many tasks."""
    return load_model(many_tasks / "run")


words = st.text(st.sampled_from("abz#1_.-=| \u00e9\u3042\u200b\u202e\x0b\u2028"), min_size=1, max_size=5)
ends = st.sampled_from(["\n", "\n", "\n", "\r\n"])
blanks = st.lists(st.sampled_from(["", "\t", " ", "\t\t"]), min_size=1, max_size=3)
comments = st.lists(
    st.sampled_from(
        ["# text = a\tb", "#newdoc", "# x", "#", "# mood = old", "# mood: old", "# degree =", "# text = ab c"]
    ),
    max_size=3,
    unique_by=lambda line: line.partition("=")[0].partition(":")[0],
)


@st.composite
def treebanks(draw: st.DrawFn) -> str:
    """Files with comments, multiword rows, empty nodes, blank lines of every kind, and all line ends."""
    marks = ["", "\t", "-DOCSTART- -X- -X- O\n", "-DOCSTART-\t-X-\tO\n\n"]
    lines = draw(st.lists(st.sampled_from(marks), max_size=2))
    for _ in range(draw(st.integers(1, 4))):
        lines += draw(comments)
        lines += draw(st.sampled_from([[], [], ["# mood = old", "# x", "# mood = older"]]))
        for number in range(1, draw(st.integers(1, 5)) + 1):
            if draw(st.integers(0, 5)) == 0:
                lines.append(f"{number}-{number + 1}\t{draw(words)}\t_\tx")
            columns = draw(st.integers(1, 10))
            lines.append("\t".join([str(number), *(draw(words) for _ in range(columns))]))
            if draw(st.integers(0, 5)) == 0:
                lines.append(f"{number}.1\t{draw(words)}\t_")
        lines += draw(blanks)
    return _with_ends(draw, lines)


@st.composite
def tables(draw: st.DrawFn) -> str:
    """Files of sentence pairs with blank lines, columns of every number, and all line ends."""
    lines = []
    for _ in range(draw(st.integers(1, 6))):
        lines += draw(st.lists(st.sampled_from(["", "\t", " "]), max_size=1))
        lines.append("\t".join(["x" + draw(words), *(draw(words) for _ in range(draw(st.integers(1, 6))))]))
    return _with_ends(draw, lines)


def _with_ends(draw: st.DrawFn, lines: list[str]) -> str:
    text = "".join(line + draw(ends) for line in lines)
    text = draw(st.sampled_from(["", "\ufeff"])) + text
    return text.rstrip("\r\n") if draw(st.booleans()) else text


def kept(text: str, dataset: str, *, added: tuple[str, ...] = ()) -> list[list[str]]:
    """The lines of a file without what tasks write, line ends and all, but with the columns that they add.

    The comments that they write have no values; those that are ``added`` and not there follow the other comments.
    """
    lines = []
    missing = list(added)
    for line in text.split("\n"):
        body, end = (line[:-1], "\r") if line.endswith("\r") else (line, "")
        body = body.removeprefix("\ufeff")
        if dataset == "UD" and (match := COMMENT.fullmatch(body)):
            lines.append([match[1], end])
            missing = [comment for comment in missing if comment[2:-2] not in match[1]]
            continue
        cells = body.split("\t")
        if not body.strip() or body.startswith("-DOCSTART-"):
            missing = list(added)
        elif dataset == "UD" and not body.startswith("#"):
            lines += [[comment, end] for comment in missing]
            missing = []
        if body.strip() and not (dataset == "UD" and (body.startswith("#") or not cells[0].isdecimal())):
            cells += ["_"] * (max(WRITTEN[dataset]) + 1 - len(cells))
            cells = [cell for number, cell in enumerate(cells) if number not in WRITTEN[dataset]]
        lines.append([*cells, end])
    return lines


@pytest.mark.parametrize("dataset", ["UD", "PAIRS"])
def test_nothing_is_lost_added_or_moved(model: Model, dataset: str) -> None:
    files = {"UD": treebanks(), "PAIRS": tables()}[dataset]

    @fuzzed(150)
    @given(content=files)
    def check(content: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in"), Path(folder, "out")
            source.write_bytes(content.encode())
            predict_file(model, source, target, dataset=dataset)
            written = target.read_bytes().decode()
        assert kept(written, dataset) == kept(content, dataset, added=ADDED)
        assert written.startswith("\ufeff") == content.startswith("\ufeff")

    check()
