"""Outputs of prediction: no file of the user is lost, and links, pipes, devices and permissions stay as they are."""

import io
import json
import os
import shutil
import signal
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import children
import pytest
import torch
from fuzzing import TREEBANK, predict, run
from safetensors.torch import save_file

from machamp_lite.cli import main as cli
from machamp_lite.errors import ConfigError
from machamp_lite.files import atomic as files
from machamp_lite.inference import predictor
from machamp_lite.inference.file_pairs import check_pairs
from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model

DATASET = ("--dataset", "UD")


@pytest.fixture(scope="module")
def model(many_tasks: Path) -> Model:
    return load_model(many_tasks / "run")


@pytest.fixture(scope="module")
def expected(model: Model, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is predicted for the treebank."""
    folder = tmp_path_factory.mktemp("expected")
    (folder / "in").write_text(TREEBANK)
    predict_file(model, folder / "in", folder / "out", dataset="UD")
    return (folder / "out").read_text()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Model, many_tasks: Path) -> Path:
    """The working folder, with an input, an older output and a link to the run."""
    # The model is loaded once.
    monkeypatch.setattr("machamp_lite.model.serialization.load_model", lambda *_, **__: model)
    monkeypatch.chdir(tmp_path)
    Path("run").symlink_to(many_tasks / "run")
    Path("in").write_text(TREEBANK)
    Path("older").write_text("older output\n")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_a_link_stays_and_the_file_behind_it_is_replaced(here: Path, expected: str) -> None:
    Path("data").mkdir()
    Path("data/real").write_text("older\n")
    os.chmod("data/real", 0o640)
    Path("link").symlink_to("data/real")
    Path("link to link").symlink_to("link")
    Path("dangling").symlink_to("data/new")
    for link, real in (("link", "data/real"), ("link to link", "data/real"), ("dangling", "data/new")):
        assert predict_here("in", link) == 0
        assert Path(link).is_symlink() and Path(real).read_text() == expected
    assert stat.S_IMODE(Path("data/real").stat().st_mode) == 0o640
    assert sorted(os.listdir("data")) == ["new", "real"]


def test_links_in_a_circle_are_one_line(here: Path) -> None:
    Path("a").symlink_to("b")
    Path("b").symlink_to("a")
    code, (line,) = predict("run", "in", "a", *DATASET, folder=here)
    assert code == 2 and line.startswith("a: is a symbolic link that leads back to itself")
    assert Path("a").is_symlink() and Path("b").is_symlink()


@pytest.mark.parametrize("writer", [files.replacing_file, files.replacing_path])
def test_all_that_is_written_keeps_links_and_permissions(
    tmp_path: Path, writer: Callable[..., object]
) -> None:
    (tmp_path / "real").write_text("older")
    os.chmod(tmp_path / "real", 0o604)
    (tmp_path / "link").symlink_to("real")
    with writer(tmp_path / "link") as place:  # type: ignore[attr-defined]
        place.write_text("new") if isinstance(place, Path) else place.write("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o604
    os.chmod(tmp_path / "real", 0o444)
    with pytest.raises(PermissionError), writer(tmp_path / "link"):  # type: ignore[attr-defined]
        raise AssertionError("a read-only file was going to be replaced")
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


def reading(path: Path) -> tuple[list[str], threading.Thread]:
    """Reads a pipe in the background."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(path.read_text()), daemon=True)
    thread.start()
    return found, thread


def test_a_named_pipe_is_written_to(here: Path, expected: str) -> None:
    os.mkfifo("pipe")
    found, thread = reading(Path("pipe"))
    code, lines = predict("run", "in", "pipe", *DATASET, folder=here)
    assert code == 0, lines
    assert Path("pipe").is_fifo(), "it was replaced by a file"
    thread.join(timeout=10)
    assert found == [expected]
    assert not Path("pipe.eval").exists()


def test_an_open_file_is_appended_to(here: Path, expected: str) -> None:
    with open("log", "w") as log:
        log.write("before\n")
        log.flush()
        code, lines = predict("run", "in", f"/dev/fd/{log.fileno()}", *DATASET, folder=here)
        assert code == 0, lines
        log.write("after\n")
    assert Path("log").read_text() == f"before\n{expected}after\n"


def test_a_device_stays_a_device(here: Path) -> None:
    code, lines = predict("run", "in", "/dev/null", *DATASET, folder=here)
    assert code == 0, lines
    assert Path("/dev/null").is_char_device()
    assert not Path("/dev/null.eval").exists()


@pytest.mark.parametrize("arguments", [["in", "-"], ["in"], ["-", "-"], ["-"], []], ids=" ".join)
def test_standard_output_holds_the_output_alone(
    here: Path,
    expected: str,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TREEBANK.encode())))
    assert cli.predict(["run", *arguments, *DATASET, "--device", "-1"]) == 0
    output = capsys.readouterr()
    assert output.out == expected
    assert "accuracy" in output.err and "written: -" in output.err
    assert sorted(os.listdir()) == ["in", "older", "run"]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_standard_input_and_pipes_are_read_like_files(
    here: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    content = ("\ufeff" + TREEBANK).replace("\n", ends).encode()
    Path("in").write_bytes(content)
    os.mkfifo("pipe")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    threading.Thread(target=lambda: Path("pipe").write_bytes(content), daemon=True).start()
    # Which of the model's datasets it is has to be found out first.
    flags = ["in", "a", "-", "b", "pipe", "c", "--device", "-1"]
    assert cli.predict(["run", *flags]) == 0
    assert Path("a").read_bytes().startswith("\ufeff#".encode())
    assert Path("a").read_bytes() == Path("b").read_bytes() == Path("c").read_bytes()
    assert json.loads(Path("a.eval").read_text()) == json.loads(Path("b.eval").read_text())


def test_faults_of_standard_input_name_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\tdogs\n2\n\n")))
    code, (line,) = predict("run", "-", "out", *DATASET, folder=here)
    assert code == 2 and line.startswith("standard input:2: found 1 column")


def test_a_read_only_output_is_refused_before_anything_is_predicted(
    here: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_file(model, "in", "old", dataset="UD")
    monkeypatch.setattr(predictor, "predict_records", lambda *_, **__: pytest.fail("it was predicted"))
    for name in ("old", "old.eval"):
        os.chmod(name, 0o444)
        before = contents(here)
        code, (line,) = predict("run", "in", "old", *DATASET, folder=here)
        assert code == 2
        assert line == f"{name}: is read-only; chmod u+w {name}, or give another output"
        assert contents(here) == before
        os.chmod(name, 0o644)


def test_outputs_keep_their_permissions(here: Path, model: Model) -> None:
    predict_file(model, "in", "out", dataset="UD")
    for name, mode in (("out", 0o600), ("out.eval", 0o660)):
        os.chmod(name, mode)
    predict_file(model, "in", "out", dataset="UD")
    assert [stat.S_IMODE(Path(name).stat().st_mode) for name in ("out", "out.eval")] == [0o600, 0o660]


def make_links() -> None:
    Path("linked").symlink_to("in")
    os.link("in", "hard")
    Path("folder").mkdir()
    Path("folder again").symlink_to("folder")
    Path("second").write_text(TREEBANK)
    Path("text.eval").write_text(TREEBANK)
    Path("plain.eval").write_text("mine\n")
    Path("json.eval").write_text('{"upos": {"learning_rate": 1}}')
    Path("kept.eval").mkdir()


# Inputs and outputs, and parts of the only line.
OVERLAPS: dict[str, tuple[list[str], list[str]]] = {
    "the input by a link": (["in", "linked"], ["linked: is the input itself (in)"]),
    "the input by a hard link": (["in", "hard"], ["hard: is the input itself (in)"]),
    "the input behind a link": (["linked", "in"], ["in: is the input itself (linked)"]),
    "the input of another pair": (["in", "new", "second", "in"], ["in: is the input in of another pair"]),
    "an output by two names": (["in", "o", "second", "./o"], ["./o: is the output of two files (o)"]),
    "an output in a folder by two names": (
        ["in", "folder/o", "second", "folder again/o"],
        ["folder again/o: is the output of two files (folder/o)"],
    ),
    "scores that are an output": (["in", "x", "second", "x.eval"], ["x.eval: is the output x.eval", "of x;"]),
    "scores that are the input": (
        ["text.eval", "text"],
        ["text.eval: is the input text.eval and the scores file of text"],
    ),
    "scores that are another input": (
        ["second", "text", "text.eval", "new"],
        ["text.eval: is the input text.eval and the scores file of text"],
    ),
    "scores that are a text of the user": (["in", "plain"], ["plain.eval: was not written by a prediction"]),
    "scores that are JSON of the user": (["in", "json"], ["json.eval: was not written by a prediction"]),
    "scores that are a folder": (["in", "kept"], ["kept.eval: is a folder"]),
    "the input with a slash": (["in", "in/"], ["in/: ends like the name of a folder"]),
    "the input with a slash and a dot": (["in", "./in/."], ["./in/.: ends like the name of a folder"]),
    "another input with a slash": (["in", "second/", "second", "o"], ["second/: ends like the name of a folder"]),
    "no name": (["in", ""], ["found the empty name ''"]),
    "standard input twice": (["-", "a", "-", "b"], ["-: is the input of two outputs"]),
    "standard output twice": (
        ["in", "-", "second", "/dev/stdout"],
        ["/dev/stdout: is the output of two files (-)"],
    ),
}


@pytest.mark.parametrize(("paths", "parts"), OVERLAPS.values(), ids=OVERLAPS)
def test_no_output_takes_the_place_of_a_file_that_is_needed(
    here: Path, paths: list[str], parts: list[str]
) -> None:
    make_links()
    before = contents(here)
    code, (line,) = run(cli.predict, ["run", *paths, *DATASET, "--device", "-1"], here)
    assert code == 2 and all(part in line for part in parts), line
    assert contents(here) == before and Path("linked").is_symlink()


def test_two_pairs_that_swap_their_files_are_refused(here: Path) -> None:
    Path("second").write_text(TREEBANK)
    before = contents(here)
    code, lines = predict("run", "in", "second", "second", "in", *DATASET, folder=here)
    assert code == 2
    assert [line.partition(" of another")[0] for line in lines] == [
        "second: is the input second",
        "in: is the input in",
    ]
    assert contents(here) == before


@pytest.mark.parametrize(
    "paths", [["in", "in"], ["in", "hard"], ["text.eval", "text"], ["in", "plain"]], ids=" ".join
)
def test_python_has_the_same_checks(here: Path, model: Model, paths: list[str]) -> None:
    make_links()
    before = contents(here)
    with pytest.raises(ConfigError, match=r"expected another file|give another output"):
        predict_file(model, *paths, dataset="UD")
    assert contents(here) == before


@pytest.mark.parametrize(
    "target", ["m/config.json", "m/new", "m/encoder/config.json", "outside"]
)
def test_an_output_in_the_folder_of_the_model_is_refused(
    many_tasks: Path, tmp_path: Path, target: str
) -> None:
    shutil.copytree(many_tasks / "run" / "model", tmp_path / "m")
    (tmp_path / "in").write_text(TREEBANK)
    (tmp_path / "outside").symlink_to("m/model.safetensors")
    before = contents(tmp_path)
    code, lines = predict("m", "in", target, *DATASET, folder=tmp_path)
    assert code == 2 and lines[0].startswith(f"{target}: is in the folder of the model, m"), lines
    assert contents(tmp_path) == before


@pytest.mark.parametrize("target", ["data/train.parquet", "data/new", "linked/new", "other"])
def test_an_output_in_the_folder_of_a_dataset_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/train.parquet").write_bytes(b"PAR1")
    Path("linked").symlink_to("data")
    Path("other").symlink_to("data/train.parquet")
    with pytest.raises(ConfigError, match=f"^{target}: is in the folder data, which is an input; expected a path"):
        check_pairs([("data", target)])
    check_pairs([("data", "new")])


RUN_FILES = [
    *("run.json", "metrics.json", "history.json", "metrics_epoch_0.json", "params-config.json"),
    *("UD.out", "state/x"),
]


@pytest.mark.parametrize("target", [f"m/{name}" for name in RUN_FILES])
def test_an_output_that_is_a_file_of_a_run_is_refused(many_tasks: Path, tmp_path: Path, target: str) -> None:
    shutil.copytree(many_tasks / "run", tmp_path / "m")
    (tmp_path / "m" / "state").mkdir(exist_ok=True)
    (tmp_path / "in").write_text(TREEBANK)
    before = contents(tmp_path)
    code, lines = predict("m", "in", target, *DATASET, folder=tmp_path)
    assert code == 2 and lines[0].startswith(f"{target}: is a file of the run in {tmp_path / 'm'}, "), lines
    assert contents(tmp_path) == before
    # Beside the run's own files there is room for others.
    assert cli.predict([str(tmp_path / name) for name in ("m", "in", "m/other")] + [*DATASET]) == 0


def test_only_scores_that_were_predicted_are_replaced_and_removed(here: Path, model: Model) -> None:
    for _ in range(2):
        predict_file(model, "in", "out", dataset="UD")
        assert "upos" in json.loads(Path("out.eval").read_text())
    Path("bare").write_text("1\tdogs\t_\t_\n")
    predict_file(model, "bare", "out", dataset="UD")
    assert not Path("out.eval").exists()
    for foreign in (
        "older scores\n",
        '{"a": {"accuracy": 0.9}, "b": {"las": 3}}',
        "",
        "{}",
        "[" * 10**5,
        '{"upos": 0.5}',
        '{"upos": {"accuracy": 1, "me": 2}}',
    ):
        Path("out.eval").write_text(foreign)
        with pytest.raises(ConfigError, match=r"^out\.eval: was not written by a prediction"):
            predict_file(model, "bare", "out", dataset="UD")
        assert Path("out.eval").read_text() == foreign


def in_child(folder: Path, work: Callable[[], int]) -> tuple[int | None, str]:
    """The exit code of work in a child process, and what it printed."""
    log = folder / "printed"
    log.unlink(missing_ok=True)
    child = children.start(work, log)
    code = children.wait_for(child, seconds=30)
    if code is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return code, log.read_text()


def predict_here(*paths: str) -> int:
    return cli.predict(["run", *paths, *DATASET, "--device", "-1"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=lambda number: number.name)
def test_the_next_prediction_removes_what_a_stopped_one_left(
    here: Path, expected: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    Path(".out.mine.part").write_text("a file of the user")
    Path("out").write_text("older output\n")
    original = predictor.rank_labels

    def stopped(*arguments: object, **options: object) -> object:
        os.kill(os.getpid(), number)
        return original(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(predictor, "rank_labels", stopped)
        code, _ = in_child(
            here, lambda: (signal.signal(signal.SIGHUP, signal.SIG_DFL), predict_here("in", "out"))[1]
        )
    assert code == (-number if number == signal.SIGKILL else 130)
    left = [name for name in os.listdir() if name.startswith(".out.") and name != ".out.mine.part"]
    assert len(left) == (number == signal.SIGKILL)
    assert Path("out").read_text() == "older output\n"
    assert predict_here("in", "out") == 0
    assert Path("out").read_text() == expected
    assert [name for name in os.listdir() if name.startswith(".")] == [".out.mine.part"]


def test_what_killed_writers_left_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    def killed() -> int:
        with files.replacing_path(tmp_path / "weights") as place, files.replacing_file(tmp_path / "text"):
            # safetensors writes to a file of its own beside the one that it is given.
            (place.parent / ".tmp123").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    code, _ = in_child(tmp_path, killed)
    assert code == -signal.SIGKILL
    (tmp_path / "printed").unlink()
    assert len(os.listdir(tmp_path)) >= 2, "nothing was left, so that nothing is tested"
    with files.replacing_file(tmp_path / "text") as slow, files.replacing_path(tmp_path / "weights") as place:
        # The inode of the file is another one afterwards.
        save_file({"x": torch.zeros(1)}, place)
        for name in ("text", "weights"):
            with files.replacing_file(tmp_path / name) as fast:
                fast.write("fast")
        slow.write("slow")
        content = place.read_bytes()
    assert (tmp_path / "text").read_text() == "slow"
    assert (tmp_path / "weights").read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["text", "weights"]


def limited(size: int, work: Callable[[], int]) -> Callable[[], int]:
    """Work in a process whose files may not grow beyond some bytes, as on a full disk."""
    import resource

    def run_limited() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return work()

    return run_limited


def test_a_full_disk_ends_prediction_with_1_and_loses_nothing(here: Path) -> None:
    Path("in").write_text(TREEBANK * 20)
    code, printed = in_child(here, limited(2000, lambda: predict_here("in", "older")))
    (line,) = children.plain_lines(printed)
    assert (code, line) == (1, "older: cannot be written (File too large)")
    assert contents(here).keys() == {"in", "older", "printed"}
    assert Path("older").read_text() == "older output\n"


def test_a_full_disk_for_scores_keeps_the_output(
    here: Path, monkeypatch: pytest.MonkeyPatch, expected: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.json, "dump", full)
    code, (line,) = predict("run", "in", "out", *DATASET, folder=here)
    assert (code, line) == (1, "out.eval: cannot be written (No space left on device)")
    assert Path("out").read_text() == expected


def closed(descriptor: int, work: Callable[[], int]) -> Callable[[], int]:
    """Work in a process that was started with a closed standard stream."""

    def run_closed() -> int:
        os.close(descriptor)
        setattr(sys, {1: "stdout", 2: "stderr"}[descriptor], None)
        return work()

    return run_closed


@pytest.mark.parametrize("descriptor", [1, 2], ids=["stdout", "stderr"])
def test_a_closed_standard_stream_loses_no_output(here: Path, expected: str, descriptor: int) -> None:
    code, printed = in_child(here, closed(descriptor, lambda: predict_here("in", "out", "in", "again")))
    assert code == 0 and "Traceback" not in printed
    assert Path("out").read_text() == Path("again").read_text() == expected
    assert "upos" in json.loads(Path("out.eval").read_text())


def test_an_output_to_closed_standard_output_is_an_error(here: Path) -> None:
    code, printed = in_child(here, closed(1, lambda: predict_here("in", "-")))
    assert code == 2
    assert children.plain_lines(printed) == ["standard output: is closed, expected an output"]


def test_scores_that_cannot_be_printed_stop_no_prediction(here: Path, expected: str) -> None:
    def work() -> int:
        sys.stdout = open("/dev/full", "w")  # noqa: SIM115
        return predict_here("in", "out", "in", "again")

    code, printed = in_child(here, work)
    assert code == 1
    assert children.plain_lines(printed) == ["output: No space left on device"]
    assert Path("out").read_text() == Path("again").read_text() == expected


def test_a_deleted_working_folder_is_one_line(here: Path) -> None:
    def work() -> int:
        Path("gone").mkdir()
        os.chdir("gone")
        os.rmdir(here / "gone")
        return predict_here(str(here / "in"), str(here / "out"))

    code, printed = in_child(here, work)
    (line,) = children.plain_lines(printed)
    assert code == 2 and line.startswith("the working folder was deleted")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes a decoder raise an error."""

    def break_with(error: BaseException) -> None:
        def decode(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("machamp_lite.decoders.seq.Seq.decode", decode)

    return break_with


BUGS = [
    RuntimeError("no memory of this label"),
    RuntimeError("shapes cannot be multiplied"),
    RecursionError("maximum recursion depth exceeded"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    KeyError("NOUN"),
    TypeError("decode() takes 2 positional arguments"),
    ValueError("an\x1b[31m escape"),
    OSError("Can't load something"),
]


@pytest.mark.parametrize("error", BUGS, ids=lambda error: f"{type(error).__name__} {str(error)[:12]!r}")
def test_a_bug_in_a_decoder_keeps_its_traceback(
    here: Path,
    broken: Callable[[BaseException], None],
    error: Exception,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken(error)
    before = contents(here)
    try:
        code = predict_here("in", "older")
    except type(error):
        pytest.fail("it is not said to be a bug")
    lines = capsys.readouterr().err.splitlines()
    assert code == 1
    assert "Traceback (most recent call last):" in lines
    assert any("in decode" in line for line in lines)
    assert lines[-1].startswith("this is a bug in machamp_lite")
    assert all(map(str.isprintable, lines))
    assert contents(here) == before


def test_a_bug_in_training_is_in_the_log_too(
    many_tasks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(many_tasks)
    broken(RuntimeError("out of memory of labels"))
    flags = ["--dataset_configs", "c.json", "--parameters_config", "p.json", "--device", "-1"]
    assert cli.train([*flags, "--model_dir", str(tmp_path / "run")]) == 1
    log = tmp_path / "run" / "log.txt"
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"the traceback is above, and in {log}")
    assert "in decode" in log.read_text()


MEMORY = [
    (MemoryError(), "out of memory (MemoryError); "),
    (
        torch.OutOfMemoryError("CUDA out of memory"),
        "in:1: the model cannot score its input (a sentence of ",
    ),
    (
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        "out of memory (RuntimeError: [enforce fail",
    ),
]


@pytest.mark.parametrize(("error", "beginning"), MEMORY, ids=lambda value: type(value).__name__)
def test_memory_that_ran_out_is_one_line(
    here: Path,
    broken: Callable[[BaseException], None],
    error: Exception,
    beginning: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("in").write_text("1\tdogs\n")
    broken(error)
    assert predict_here("in", "out") == 1
    (line,) = children.plain_lines(capsys.readouterr().err)
    assert line.startswith(beginning)


def test_equal_faults_are_one_line_with_a_count(here: Path) -> None:
    Path("in").write_text("1\n2\n\n" * 5)
    code, lines = predict("run", "in", "out", *DATASET, folder=here)
    assert code == 2
    (line,) = [line for line in lines if "found 1 column" in line]
    assert line.startswith("in:1: found 1 column, expected at least 2")
    assert "more lines like it" in line
