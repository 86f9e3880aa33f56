"""One command predicts files of several datasets, as one command per file does."""

import json
from pathlib import Path

import pytest
from predicted_words import predict_words

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model
from machamp_lite.training.run import train

ROWS = [
    "1\tdogs\t_\tNOUN\t_\t_\t2\tnsubj\t_\tB-animal\n2\trun\t_\tVERB\t_\t_\t0\troot\t_\tO\n",
    "1\tAnna\t_\tPROPN\t_\t_\t0\troot\t_\tB-person\n",
]
TREEBANK = "".join(f"# text = x\n{rows}\n" for rows in ROWS)
FILES = {
    "ud": TREEBANK.replace("B-animal", "_").replace("B-person", "_").replace("\tO\n", "\t_\n"),
    "intents": "play a song\tmusic\nis it cold\tweather\n",
    "pairs": "a dog\tit ran\tyes\nhe\tshe\tno\n",
}
DATASETS = {"ud": "UD", "intents": "INTENTS", "pairs": "PAIRS"}


@pytest.fixture(scope="module")
def run_folder(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over two datasets with the same layout, texts, and pairs of texts."""
    folder = tmp_path_factory.mktemp("run")
    for name, content in {**FILES, "all": TREEBANK}.items():
        (folder / name).write_text(content)
    small = {"arc_representation_dim": 8, "tag_representation_dim": 8}
    upos = {"upos": {"task_type": "seq", "column_idx": 3}}
    tree = {"tree": {"task_type": "dependency", "column_idx": 6, **small}}
    ner = {"ner": {"task_type": "seq_bio", "column_idx": 9}}
    topic = {"topic": {"task_type": "multiclas", "column_idx": -1}}
    music = {"intent": {"task_type": "classification", "column_idx": 1}}
    same = {"same": {"task_type": "classification", "column_idx": 2}}
    commented = TREEBANK.replace("# text = x", "# topic = animals")
    (folder / "ner").write_text(commented)
    datasets = {
        "UD": {"train_data_path": str(folder / "all"), "word_idx": 1, "tasks": upos | tree},
        "NER": {"train_data_path": str(folder / "ner"), "word_idx": 1, "tasks": ner | topic},
        "INTENTS": {"train_data_path": str(folder / "intents"), "sent_idxs": [0], "tasks": music},
        "PAIRS": {"train_data_path": str(folder / "pairs"), "sent_idxs": [0, 1], "tasks": same},
    }
    (folder / "c.json").write_text(json.dumps(datasets))
    overrides = [f"transformer_model={encoder}", "encoder.max_input_length=40", "training.num_epochs=1"]
    train(load_config([folder / "c.json"], overrides=overrides), folder / "run", progress=False)
    return folder / "run"


@pytest.fixture(scope="module")
def model(run_folder: Path) -> Model:
    """The model of the run."""
    return load_model(run_folder)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with inputs, to be worked in."""
    monkeypatch.chdir(tmp_path)
    for name, content in {**FILES, "all": TREEBANK}.items():
        Path(name).write_text(content)
    return tmp_path


@pytest.mark.parametrize("chooses", [True, False])
def test_files_of_several_datasets_are_predicted_as_by_one_command_each(
    run_folder: Path, here: Path, capsys: pytest.CaptureFixture[str], chooses: bool
) -> None:
    for name, dataset in DATASETS.items():
        assert cli.predict([str(run_folder), name, f"{name}.alone", "--dataset", dataset, "--device", "-1"]) == 0
    capsys.readouterr()
    pairs = [path for name in DATASETS for path in (name, f"{name}.together")]
    flags = [] if chooses else [flag for dataset in DATASETS.values() for flag in ("--dataset", dataset)]
    assert cli.predict([str(run_folder), *pairs, *flags, "--device", "-1"]) == 0
    log = capsys.readouterr().err
    for name, dataset in DATASETS.items():
        assert (f"{name}: read as {dataset} (" in log) == chooses
        for ending in ("", ".eval"):
            assert Path(f"{name}.together{ending}").read_bytes() == Path(f"{name}.alone{ending}").read_bytes()


def test_joined_datasets_are_predicted_as_one_after_the_other(model: Model, here: Path) -> None:
    scores = predict_file(model, "all", "one", dataset="UD")
    # The scores of the second dataset are those of its own gold labels, which the first does not change.
    scores |= predict_file(model, "one", "both", dataset="NER")
    assert predict_file(model, "all", "joined", dataset="UD+NER") == scores
    assert Path("joined").read_bytes() == Path("both").read_bytes()
    assert json.loads(Path("joined.eval").read_text()).keys() == {"upos", "tree", "ner"}


def test_joined_datasets_work_with_all_options(
    run_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("raw").write_text("dogs run\n")
    flags = ["--dataset", "UD+NER", "--device", "-1", "--threshold", "0.01", "--topn", "2"]
    assert cli.predict([str(run_folder), "all", "out", *flags]) == 0
    assert cli.predict([str(run_folder), "raw", "raw.out", *flags, "--raw_text"]) == 0
    for name in ("out", "raw.out"):
        lines = Path(name).read_text().splitlines()
        assert any(line.startswith("# topic = animals") for line in lines)
        rows = [line.split("\t") for line in lines if line.startswith("1\t")]
        assert all(row[column].count("=") == 2 for row in rows for column in (3, 9))
    assert "joined" not in capsys.readouterr().err


def test_words_are_predicted_for_joined_datasets(model: Model) -> None:
    (labels,) = predict_words(model, [["dogs", "run"]], dataset="NER+UD")
    assert {task: len(values) for task, values in labels.items()} == {"ner": 2, "topic": 1, "upos": 2, "tree": 2}
    assert predict_words(model, [["dogs", "run"]], dataset="UD") == [
        {task: labels[task] for task in ("upos", "tree")}
    ]


def test_nothing_is_written_if_a_dataset_is_wrong(
    run_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(run_folder), "ud", "out", "pairs", "out2", "intents", "out3", "--device", "-1"]
    expected = {
        ("UD", "PAIRS"): "--dataset: found 2 of them for 3 pairs of files, expected one for all, or one per pair",
        ("UD+PAIRS",): "--dataset: found UD+PAIRS, but the word_idx of UD is 1 and that of PAIRS is None; ",
        ("UD", "PAIRS", "INTENT"): "--dataset: found 'INTENT', expected one of the model's datasets: ",
    }
    for names, message in expected.items():
        assert cli.predict([*command, *(flag for name in names for flag in ("--dataset", name))]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith(message)
    Path("ud").write_text("1\tdogs\n2\trun\n\n1\tAnna\n2\truns\n\n")
    assert cli.predict(command) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ud: found")]
    assert "several datasets that may read it, UD, NER; expected --dataset with one of " in line
    assert line.endswith("; --dataset UD+NER predicts the tasks of all")
    assert not list(here.glob("out*"))


def test_a_joined_dataset_does_not_change_the_datasets_of_the_model(model: Model, here: Path) -> None:
    predict_file(model, "all", "out", dataset="UD+NER")
    assert list(model.config.datasets) == ["UD", "NER", "INTENTS", "PAIRS"]
    with pytest.raises(ConfigError, match="several datasets that may read it, UD, NER;"):
        predict_file(model, "all", "out")
