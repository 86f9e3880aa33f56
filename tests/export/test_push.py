"""What is pushed to the hub has no paths and no data, and a pushed model is loaded with the checks of local folders."""

import ast
import fnmatch
import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import ModelCard
from predicted_words import predict_words

import machamp_lite
from machamp_lite.cli import commands
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.export import card
from machamp_lite.export.card import example_input
from machamp_lite.export.card_info import CardInfo
from machamp_lite.inference.ensembles import load_predictor
from machamp_lite.training.run import train

TREEBANK = """\
# text = The dogs don't sleep.
# mood = statement
1\tThe\tthe\tDET\t_\t_\t2\tdet\t_\t_
2\tdogs\tdog\tNOUN\t_\t_\t5\tnsubj\t_\t_
3\tdo\tdo\tAUX\t_\t_\t5\taux\t_\t_
4\tn't\tnot\tPART\t_\t_\t5\tadvmod\t_\t_
5\tsleep\tsleep\tVERB\t_\t_\t0\troot\t_\t_
6\t.\t.\tPUNCT\t_\t_\t5\tpunct\t_\t_

# text = Who ran?
# mood = question
1\tWho\twho\tPRON\t_\t_\t2\tnsubj\t_\t_
2\tran\trun\tVERB\t_\t_\t0\troot\t_\t_
3\t?\t?\tPUNCT\t_\t_\t2\tpunct\t_\t_

"""
TASKS = {
    "upos": {"task_type": "seq", "column_idx": 3, "class_weights": "balanced"},
    "tree": {"task_type": "dependency", "column_idx": 6},
    "mood": {"task_type": "classification", "column_idx": -1},
}
WORDS = [["Anna", "reads", "books", "."]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, encoder: str) -> Path:
    """The folder of a run of one epoch, with a weighted task."""
    folder = tmp_path_factory.mktemp("private_place")
    (folder / "my_train.conllu").write_text(TREEBANK, encoding="utf-8")
    path = str(folder / "my_train.conllu")
    datasets = {"UD": {"train_data_path": path, "dev_data_path": path, "word_idx": 1, "tasks": TASKS}}
    (folder / "config.json").write_text(json.dumps(datasets), encoding="utf-8")
    overrides = [f"transformer_model={encoder}", "encoder.max_input_length=64", "training.num_epochs=1"]
    train(load_config([folder / "config.json"], overrides=overrides), folder / "first", progress=False)
    return folder / "first"


class FakeHub:
    """Repositories as folders, in place of the network."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[dict[str, Any]] = []

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append({"repo": repo_id, **options})

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> Any:
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
        return SimpleNamespace(commit_url=f"https://hub.example/{repo_id}")

    def download(self, name: str, *, revision: str | None, local_dir: Path, allow_patterns: list[str]) -> str:
        self.calls.append({"download": name, "revision": revision})
        source = self.root / name
        for path in source.rglob("*"):
            relative = str(path.relative_to(source))
            if path.is_file() and any(fnmatch.fnmatch(relative, pattern) for pattern in allow_patterns):
                (local_dir / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, local_dir / relative)
        return str(local_dir)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda **_: fake)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.download)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return fake


def test_a_pushed_model_predicts_the_same(run: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["push", str(run), "me/my-model", "--private", "--license", "mit", "--language", "en"]) == 0
    assert "pushed: https://hub.example/me/my-model" in capsys.readouterr().out
    assert hub.calls[0] == {"repo": "me/my-model", "private": True, "exist_ok": True}
    expected = predict_words(load_predictor(run), WORDS)
    assert predict_words(load_predictor("me/my-model"), WORDS) == expected
    assert predict_words(load_predictor("me/my-model", revision="v1"), WORDS) == expected
    assert predict_words(load_predictor("me/my-model@v2"), WORDS) == expected
    assert [call["revision"] for call in hub.calls[1:]] == [None, "v1", "v2"]
    # A card is not part of the model.
    assert not list(Path("cache").rglob("README.md"))


def test_the_predict_command_takes_a_name_on_the_hub(run: Path, hub: FakeHub, treebank: Path) -> None:
    assert commands.main(["push", str(run), "me/my-model"]) == 0
    for model, output in (("me/my-model", "from_hub.conllu"), (str(run), "local.conllu")):
        assert commands.main(["predict", model, str(treebank), output]) == 0
    assert Path("from_hub.conllu").read_bytes() == Path("local.conllu").read_bytes()


def test_a_local_folder_of_that_name_wins(run: Path, hub: FakeHub) -> None:
    shutil.copytree(run, Path("me/my-model"))
    load_predictor("me/my-model")
    assert not hub.calls
    with pytest.raises(ConfigError, match=r"revision: found 'v1' for me/my-model, which is not a name on the hub"):
        load_predictor("me/my-model", revision="v1")


def test_a_model_of_the_hub_is_checked_as_any_other(run: Path, hub: FakeHub) -> None:
    assert commands.main(["push", str(run), "me/my-model"]) == 0
    path = hub.root / "me/my-model/encoder/config.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | {"auto_map": {"AutoModel": "code.Model"}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="found the key 'auto_map', which refers to code"):
        load_predictor("me/my-model")


def test_without_a_network_the_error_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match=r"^nobody/nothing: found no such folder, and .*hub.*$"):
        load_predictor("nobody/nothing")


def test_a_misspelt_folder_is_never_sent_to_the_hub(run: Path, hub: FakeHub) -> None:
    shutil.copytree(run, Path("runs/first"))
    with pytest.raises(ConfigError, match=r"^runs/frist: found no such folder, .*; did you mean 'runs/first'\?$"):
        load_predictor("runs/frist")
    with pytest.raises(ConfigError, match=r"^runs/frist: found no such folder, .*; did you mean 'runs/first'\?$"):
        load_predictor("./runs/frist")
    assert not hub.calls


def test_a_folder_of_the_user_does_not_hide_the_hub(run: Path, hub: FakeHub) -> None:
    assert commands.main(["push", str(run), "me/my-model"]) == 0
    Path("me").mkdir()
    load_predictor("me/my-model@main")
    load_predictor("me/my-model", revision="main")
    assert [call["revision"] for call in hub.calls[1:]] == ["main", "main"]


def test_a_dry_run_writes_what_would_be_pushed(run: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["push", str(run), "me/my-model", "--dry_run", "pushed"]) == 0
    written = {str(path.relative_to("pushed")) for path in Path("pushed").rglob("*") if path.is_file()}
    model = {str(path.relative_to(run / "model")) for path in (run / "model").rglob("*") if path.is_file()}
    assert written == model | {"README.md", "params-config.json", "dataset-configs.json"}
    assert capsys.readouterr().out.splitlines()[:-1] == sorted(written)
    assert not hub.calls
    load_predictor("pushed")


def test_nothing_that_is_pushed_has_paths_or_texts_of_the_data(run: Path, hub: FakeHub) -> None:
    assert commands.main(["push", str(run), "me/my-model"]) == 0
    for path in (hub.root / "me/my-model").rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            text = path.read_text(encoding="utf-8")
            assert "private_place" not in text, path
            assert "The dogs don't sleep" not in text, path
    assert commands.main(["push", str(run), "me/other", "--with_predictions"]) == 0
    assert "The dogs don't sleep" in (hub.root / "me/other/UD.out").read_text(encoding="utf-8")


def test_a_changed_model_folder_is_not_pushed(run: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run, "changed")
    Path("changed/model/notes.txt").write_text("mine", encoding="utf-8")
    assert commands.main(["push", "changed", "me/my-model"]) == 2
    assert "has missing, changed or other files" in capsys.readouterr().err
    assert not hub.calls


@pytest.mark.parametrize("name", ["model", "a/b/c", "me/", ""])
def test_wrong_names_are_refused(name: str, run: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["push", str(run), name]) == 2
    assert "expected USER/NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "fault"),
    [
        (huggingface_hub.errors.LocalTokenNotFoundError("no token"), 2, "found no login for the Hugging Face hub"),
        (huggingface_hub.errors.HFValidationError("bad name"), 2, "is no name of a model on the hub"),
        (ConnectionError("unreachable"), 1, "the hub did not accept it"),
    ],
)
def test_errors_of_the_hub_are_one_line(
    error: Exception,
    code: int,
    fault: str,
    run: Path,
    hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(hub, "create_repo", fail)
    assert commands.main(["push", str(run), "me/my-model"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"me/my-model: {fault}")


def test_the_card_has_the_metadata_of_the_hub(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["card", str(run), "--name", "me/my-model", "--language", "en", "--license", "cc-by-sa-4.0"]
    assert commands.main(arguments) == 0
    text = capsys.readouterr().out
    data = ModelCard(text).data
    assert (data.language, data.license, data.library_name) == (["en"], "cc-by-sa-4.0", "machamp_lite")
    assert data.tags == ["machamp_lite", "token-classification", "text-classification"]
    assert data.base_model is None
    results = {(result.dataset_name, result.metric_name): result.metric_value for result in data.eval_results}
    assert {("UD", "upos accuracy"), ("UD", "tree las"), ("UD", "mood accuracy")} <= results.keys()
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    assert results["UD", "upos accuracy"] == pytest.approx(history[0]["dev"]["UD"]["upos"]["accuracy"], abs=1e-6)


@pytest.mark.parametrize(
    ("language", "hint"),
    [("english", "en"), ("German", "de"), ("EN", "en"), ("en-US", "en"), ("zh_CN", "zh"), ("klingon", None)],
)
def test_a_language_is_a_code_of_iso_639(
    run: Path, language: str, hint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["card", str(run)], ["push", str(run), "me/my-model"]):
        assert commands.main([*arguments, "--language", "deu", "--language", language]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"--language: found '{language}', expected a code of ISO 639 in lower case")
        assert line.endswith(f"; did you mean '{hint}'?" if hint else "such as en or deu")


@pytest.mark.parametrize(
    ("license", "hint"),
    [
        *((known, None) for known in ("mit", "cc-by-sa-4.0", "ms-pl", "other", "openrail")),
        ("MIT", "did you mean 'mit'?"),
        ("apache", "did you mean 'apache-2.0'?"),
        ("cc by-sa 4.0", "did you mean 'cc-by-sa-4.0'?"),
        ("foo", "openrail, other, unknown"),
    ],
)
def test_a_license_that_the_hub_may_refuse_is_a_warning(
    license: str, hint: str | None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests run commands in this process, which set up logging.
    monkeypatch.setattr(logging.getLogger("machamp_lite"), "handlers", [])
    monkeypatch.setattr(logging.getLogger("machamp_lite"), "propagate", True)
    CardInfo(name="my-model", license=license)
    if hint is None:
        assert not caplog.messages
    else:
        (line,) = caplog.messages
        assert line.startswith(f"--license: found '{license}', which the hub may refuse") and line.endswith(hint)


def test_the_card_describes_tasks_data_labels_and_weights(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["card", str(run)]) == 0
    text = capsys.readouterr().out
    assert "# first\n" in text
    assert "| upos | seq | UD | words in column 1 | 7 |" in text
    assert "| UD | 2 | 9 | 2 | 9 |" in text
    assert '| upos | `{"class_weights": "balanced"}` |' in text
    assert "### upos (UD)" in text and "| NOUN |" in text
    assert f"machamp_lite {machamp_lite.__version__}" in text
    assert "machamp-lite train --dataset_configs dataset-configs.json" in text


def test_the_example_of_the_card_predicts_one_input(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["card", str(run), "--name", str(run)]) == 0
    code = capsys.readouterr().out.partition("```python\n")[2].partition("```")[0]
    exec(code, {})
    assert capsys.readouterr().out.startswith("Prediction('Trains run late.'")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_example_of_the_card_has_the_texts_of_a_row(number: int) -> None:
    example = ast.literal_eval(example_input(number))
    assert isinstance(example, str) if number == 1 else len(example) == number and isinstance(example, tuple)


def test_the_examples_of_the_card_name_a_dataset_of_several(treebank: Path) -> None:
    tasks = {"upos": {"task_type": "seq", "column_idx": 3}}
    datasets = {
        name: {"train_data_path": str(treebank), "word_idx": 1, "tasks": {f"{name} upos": tasks["upos"]}}
        for name in ("A B", "C")
    }
    text = "\n".join(card._use(load_config([datasets]), "me/model"))
    assert "machamp-lite predict me/model input.conllu output.conllu --dataset 'A B'\n" in text
    assert """model.predict("Trains run late.", dataset='A B')""" in text


def test_the_card_of_a_model_without_its_run_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run / "model", tmp_path / "alone")
    assert commands.main(["card", str(tmp_path / "alone")]) == 0
    text = capsys.readouterr().out
    assert "There are no scores" in text and "The configs of the run are not known" in text
    assert ModelCard(text).data.eval_results is None
