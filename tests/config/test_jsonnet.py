"""Configs are jsonnet: read as jsonnet reads them, within limits of time, memory and files."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import _jsonnet
import children
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.jsonnet_process import complete_numbers
from machamp_lite.config.loading import DEFAULT_PARAMS
from machamp_lite.errors import ConfigError

SECRET = "root:x:0:0:hidden"


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works in a folder, with a secret outside it."""
    (tmp_path / "configs" / "parts").mkdir(parents=True)
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "part.libsonnet").write_text("{}")
    monkeypatch.chdir(tmp_path / "configs")


def fault(text: str) -> str:
    Path("c.jsonnet").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(["c.jsonnet"])
    (line,) = caught.value.faults
    assert "hidden" not in line
    return line


OUTSIDE = [
    "import '../part.libsonnet'",
    "importstr '../secret'",
    "importbin '../secret'",
    "import 'parts/../../part.libsonnet'",
    "importstr 'link'",
    "importstr 'folder_link/secret'",
    "importstr '/etc/passwd'",
    "importstr '/proc/self/environ'",
    "importstr '/dev/zero'",
]


@pytest.mark.parametrize("expression", OUTSIDE)
def test_imports_from_outside_the_folder_of_the_config_are_refused(expression: str) -> None:
    os.symlink("../secret", "link")
    os.symlink("..", "folder_link")
    for text in (f"{{ A: {expression} }}", f"{{}} + (if true then error {expression})"):
        line = fault(text)
        assert line.startswith("c.jsonnet:1:") and "outside the folder of the config" in line


def test_a_pipe_that_is_imported_is_not_waited_for() -> None:
    os.mkfifo("pipe")
    child = children.start(lambda: fault("{ A: importstr 'pipe' }") and 0, Path("log"))
    code = children.wait_for(child, seconds=20)
    if code is None:
        os.kill(child, signal.SIGKILL)
    assert code == 0, Path("log").read_text()


# What a config does with a file beside it that is not its own, such as one of passwords.
PRYING = [
    "error importstr 'secret.txt'",
    "{ A: error 'expected ' + importstr 'secret.txt' }",
    "{}[importstr 'secret.txt']",
    "import 'secret.txt'",
    "{ A: std.parseInt(importstr 'secret.txt') }",
    "std.parseJson(importstr 'secret.txt')",
    "assert false : importstr 'secret.txt'; {}",
    "error std.base64Decode(std.base64(importstr 'secret.txt'))",
    "error \"couldn't open import \" + importstr 'secret.txt'",
]


@pytest.mark.parametrize("text", PRYING)
@pytest.mark.parametrize("content", [SECRET, "hiddenword", "{ hiddenkey: 1, hiddenkey: 2 }"])
def test_errors_show_no_content_of_imported_files(text: str, content: str) -> None:
    Path("secret.txt").write_text(content)
    assert fault(text).startswith(("c.jsonnet:", "secret.txt:", "std.jsonnet:"))


def test_errors_of_the_config_itself_keep_their_words() -> None:
    assert fault("{ A: error 'no such language' }") == "c.jsonnet:1:6-30: no such language"
    Path("parts/x.libsonnet").write_text("{ a: 1 }")
    assert fault("{ A: (import 'parts/x.libsonnet').b }").startswith("c.jsonnet:1:6-36: field does not exist")
    assert "cannot import 'parts/y.libsonnet': No such file" in fault("{ A: import 'parts/y.libsonnet' }")


@pytest.fixture
def short_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("machamp_lite.config.jsonnet.MOST_SECONDS", 1, raising=False)


ENDLESS = "local f(n) = if n == 0 then 0 else f(n - 1) + f(n - 1); { A: f(60) }"
# Each would take more memory than there is, or forever; all are a few bytes.
LARGE = [
    "{ A: std.repeat('x', 3000000000) }",
    "local d(n, s) = if n == 0 then s else d(n - 1, s + s); { A: d(34, 'x') }",
    "{ A: std.range(1, 1000000000) }",
    "{ A: std.length(std.makeArray(2000000000, function(i) i)) }",
]


@pytest.mark.parametrize("text", [ENDLESS, *LARGE])
def test_a_config_that_takes_too_much_time_or_memory_is_refused(text: str, short_time: None) -> None:
    Path("c.jsonnet").write_text(text)
    child = children.start(lambda: cli.train(["--dataset_configs", "c.jsonnet", "--check"]), Path("log"))
    code = children.wait_for(child, seconds=20)
    if code is None:
        os.kill(child, signal.SIGKILL)
    (line,) = children.plain_lines(Path("log").read_text())
    assert code == 2 and line.startswith("c.jsonnet: "), line
    assert "takes more than" in line or "memory" in line or "MB" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_an_evaluation_at_once(number: int) -> None:
    Path("c.jsonnet").write_text(ENDLESS)
    log = Path("log")

    log.touch()

    def work() -> int:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log.write_text("started\n")
        return cli.train(["--dataset_configs", "c.jsonnet", "--check"])

    child = children.start(work, log)
    children.wait_for(child, seconds=20, until=lambda: "started" in log.read_text())
    time.sleep(0.5)
    os.kill(child, number)
    code = children.wait_for(child, seconds=10)
    if code is None:
        os.kill(child, signal.SIGKILL)
    assert code == 130, log.read_text()


PLAIN = [
    '{"b": 1, "a": {"d": 2.0, "c": [1.5e3, -0.0, 1e300, 0.1]}}',
    '{"a": 12345678901234567890, "b": 1e-7, "c": 5e-324}',
    '{"a": "\\u00e9\\ud83d\\ude00\\n\\/", "b": [true, false, null, {}, []]}',
    '{"a": ' + "[" * 100 + "]" * 100 + "}",
]


def both(text: str) -> tuple[Any, Any]:
    """What jsonnet itself makes of a text, and what we do; None for a fault."""
    Path("c.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        expected = json.loads(_jsonnet.evaluate_snippet("c.json", text))
    except (RuntimeError, ValueError):
        expected = None
    try:
        found = read_jsonnet("c.json")
    except ConfigError:
        found = None
    return found, expected


def same(found: Any, expected: Any) -> bool:
    """Whether values are the same, in their types too; jsonnet sorts keys."""
    return json.dumps(found, sort_keys=True) == json.dumps(expected)


@pytest.mark.parametrize("text", [*PLAIN, '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e400}', '{"a": "\\ud83d"}',
                                  '{"a": 01}', '{"a": "a\tb"}', '{"a": 1,}', "{a: 1}", "{\"a\": 1} // x",
                                  '{"a": "//b,}", /* , */ "c": [1, ], # x\n}', '{"a": [,]}', '{"a": 1,,}', "{,}",
                                  '{"a": /* "b"', "{'a // ': 1}", '{"a": tru/**/e}', '{"a": 1 // "b": 2}'])  # fmt: skip
def test_json_is_read_as_jsonnet_reads_it(text: str) -> None:
    found, expected = both(text)
    assert same(found, expected)


COMMENTED = """{
  // The order of "A" and "B", and of {, } in a comment
  "z": {"train": "a//b", "tasks": {"upos": 1, "lemma": [1, 2,], "deps": {"b": 1, "a": 2},},}, # and so on
  /* "y": 0, */
  "a": 5,
}"""


def test_keys_keep_the_order_of_the_file_also_with_comments() -> None:
    Path("c.json").write_text(COMMENTED)
    value = read_jsonnet("c.json")
    assert list(value) == ["z", "a"] and list(value["z"]["tasks"]) == ["upos", "lemma", "deps"]
    assert list(value["z"]["tasks"]["deps"]) == ["b", "a"] and value["z"]["train"] == "a//b"
    found, expected = both(COMMENTED)
    assert same(found, expected)


keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(keys, parts, max_size=3),
    max_leaves=8,
)


# Jsonnet takes a tenth of a second for each file, so that each has many values.
@settings(max_examples=6, derandomize=True, database=None, deadline=None)
@given(value=st.dictionaries(keys, values, min_size=20, max_size=60))
def test_any_json_is_read_as_jsonnet_reads_it(value: dict[str, Any]) -> None:
    found, expected = both(json.dumps(value, ensure_ascii=False))
    assert same(found, expected)


def test_json_is_read_without_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt key is answered at once."""
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("started a process"))
    for text in PLAIN[:3]:
        Path("c.json").write_text(text)
        assert read_jsonnet("c.json")
    assert read_jsonnet(DEFAULT_PARAMS)


def test_a_file_that_is_no_config_for_its_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("c.json", "wb") as file:
        file.truncate(2**33)
    with pytest.raises(ConfigError, match=r"^c\.json: is larger than 64 MB"):
        load_config(["c.json"])


POINTS = {
    "{A: .5, B: [.5, -.25,1.], C: 5., D: 1.e2, E: .5e-1, F: 2.5, G: 3}": {
        "A": 0.5, "B": [0.5, -0.25, 1], "C": 5, "D": 100, "E": 0.05, "F": 2.5, "G": 3,
    },
    """{"A": ".5 and 5. \\" .5", 'B': '.5\\' 5.', C: @".5 "" 5.", D: @'5. '' .5', E: .5}""": {
        "A": '.5 and 5. " .5', "B": ".5' 5.", "C": '.5 " 5.', "D": "5. ' .5", "E": 0.5,
    },
    "// it's .5\n# 5.\n/* \" .5\n */ {A: .5 /* .5 */, // 5.\n}": {"A": 0.5},
    "local v1 = {x: 2}; local f(x) = [x, .5]; {A: v1.x, B: f(1.)[1], C: [1, 2, 3][1:3.], D: .5 + 5.}": {
        "A": 2, "B": 0.5, "C": [2, 3], "D": 5.5,
    },
    "{A: |||\n  it's .5\n\n  5. and |||\n|||, B: .5}": {"A": "it's .5\n\n5. and |||\n", "B": 0.5},
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), POINTS.items())
def test_numbers_may_begin_or_end_with_a_point(text: str, value: Any) -> None:
    Path("c.jsonnet").write_text(text)
    assert read_jsonnet("c.jsonnet") == value


def test_numbers_of_imported_files_may_begin_or_end_with_a_point() -> None:
    Path("parts/numbers.libsonnet").write_text("{a: .5, text: importstr 'text'}")
    Path("parts/text").write_text("it's .5, 5.")
    Path("c.jsonnet").write_text("import 'parts/numbers.libsonnet'")
    assert read_jsonnet("c.jsonnet") == {"a": 0.5, "text": "it's .5, 5."}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{A: .5,\n B: 5.,\n C: nobody}", "c.jsonnet:3:5-11: is not valid jsonnet: Unknown variable: nobody"),
        ("{A: .5, B: [5., .5], C: nobody}", "c.jsonnet:1:25-31: is not valid jsonnet: Unknown variable: nobody"),
    ],
)
def test_completed_numbers_do_not_move_errors(text: str, line: str) -> None:
    assert fault(text) == line


@pytest.mark.parametrize("text", ["{A: [1 .5]}", "{A: 1.5.}", "{A: 1..5}", "{A: {x: 1}.5}", "{A: .5x}", "{A: 5.x}"])
def test_other_points_are_no_numbers(text: str) -> None:
    fault(text)


@example(".0.")
@given(st.text("0123456789.eE+- \"'/*#@|\n\\ax,:[]", max_size=40))
@settings(max_examples=300, deadline=None)
def test_numbers_are_completed_once_and_lines_stay(text: str) -> None:
    completed = complete_numbers(text)
    assert completed.count("\n") == text.count("\n")
    assert complete_numbers(completed) == completed


@given(st.recursive(st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@settings(max_examples=200, deadline=None)
def test_no_json_is_changed_by_completing_numbers(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert complete_numbers(text) == text
