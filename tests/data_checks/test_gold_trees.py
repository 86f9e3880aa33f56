"""Gold trees that are none, ids that are none, and the relation of roots, in training, dev data and prediction."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from predicted_words import predict_words
from udtools import validator

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.decoders.dependency import Dependency
from machamp_lite.errors import DataError
from machamp_lite.inference.ensembles import load_predictor as load
from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.run import build_model, read_data

WORDS = ["the", "dogs", "ran", "old", "books"]
TREE = [2, 3, 0, 5, 3]


def sentence(heads: Sequence[Any], ids: Sequence[Any] | None = None, root: str = "root") -> str:
    """A CoNLL-U sentence with these heads; the word with the head 0 has the relation ``root``."""
    ids = ids or range(1, len(heads) + 1)
    rows = [
        f"{number}\t{word}\t{word}\tX\t_\t_\t{head}\t{root if head == 0 else 'det'}\t_\t_\n"
        for number, word, head in zip(ids, WORDS * 2, heads, strict=False)
    ]
    return "".join(rows) + "\n"


GOOD = sentence(TREE)
CYCLE, NO_ROOT, TWO_ROOTS = sentence([2, 3, 0, 5, 4]), sentence([2, 3, 2, 5, 3]), sentence([2, 0, 0, 5, 3])
RESTART = sentence(TREE + TREE, [1, 2, 3, 4, 5] * 2)
FROM_ZERO = sentence([1, 2, 0, 4, 2], [0, 1, 2, 3, 4])


class Trees:
    """Runs of the commands over files of trees; all files are in one folder."""

    def __init__(self, folder: Path, params: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.params = params
        self.capsys = capsys

    def config(self, *, train: str = 3 * GOOD, dev: str | None = None) -> list[str]:
        dataset: dict[str, Any] = {
            "word_idx": 1,
            "tasks": {
                "upos": {"task_type": "seq", "column_idx": 3},
                "dep": {"task_type": "dependency", "column_idx": 6},
            },
        }
        for name, text in (("train", train), ("dev", dev)):
            if text is not None:
                (self.folder / name).write_text(text)
                dataset[f"{name}_data_path"] = name
        (self.folder / "c.json").write_text(json.dumps({"T": dataset}))
        return ["--dataset_configs", "c.json", "--parameters_config", self.params, "--device", "-1"]

    def train(self, *flags: str, **files: str) -> tuple[int, list[str]]:
        """The exit code and the lines on stderr about the data files, without their times."""
        self.capsys.readouterr()
        code = cli.train([*self.config(**files), *flags])
        lines = [line[9:] if line[2:3] == ":" else line for line in self.capsys.readouterr().err.splitlines()]
        lines = [line.removeprefix("warning: ") for line in lines]
        return code, [line for line in lines if line.startswith(("train:", "dev:"))]

    def check(self, **files: str) -> tuple[int, list[str]]:
        return self.train("--check", **files)


@pytest.fixture
def trees(
    tmp_path: Path, tiny_params: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Trees:
    monkeypatch.chdir(tmp_path)
    return Trees(tmp_path, tiny_params, capsys)


@pytest.fixture
def model(trees: Trees) -> Model:
    """A model that was never trained, for sentences like those above."""
    trees.config()
    config = load_config(["c.json"], parameters_config=trees.params, overrides=["random_seed=5"])
    return build_model(config, read_data(config))


DOUBTS = {
    "a cycle": (CYCLE, ":16: ", "cycle"),
    "no root": (NO_ROOT, ":13: ", "no word"),
    "several roots": (TWO_ROOTS, ":15: ", "2 words"),
}


@pytest.mark.parametrize("name", DOUBTS)
@pytest.mark.parametrize("part", ["train", "dev"])
def test_a_tree_that_is_none_is_counted_in_one_warning_with_its_line(
    trees: Trees, part: str, name: str
) -> None:
    text, line, what = DOUBTS[name]
    code, lines = trees.check(**{part: 2 * GOOD + text + GOOD + text + GOOD})
    assert code == 0
    (warning,) = lines
    assert warning.startswith(part + line) and what in warning and "2 sentences" in warning
    assert "'dep'" in warning


@pytest.mark.parametrize("name", DOUBTS)
def test_only_a_tree_that_is_none_is_left_out_of_training(trees: Trees, name: str) -> None:
    trees.config(train=GOOD + DOUBTS[name][0])
    columns = read_data(load_config(["c.json"], parameters_config=trees.params)).train["T"]
    assert columns.annotated("dep").tolist() == [True, name == "several roots"]
    assert columns.annotated("upos").all()


def test_check_counts_what_is_left_out(trees: Trees) -> None:
    assert cli.train([*trees.config(train=GOOD + CYCLE + NO_ROOT + CYCLE, dev=CYCLE + GOOD), "--check"]) == 0
    lines = [line.strip() for line in trees.capsys.readouterr().out.splitlines()]
    assert "task dep (dependency, loss_weight 1): 1 annotated sentence" in lines
    assert "train: 3 sentences are left out: 2 with a cycle, 1 without a root" in lines
    assert "dev: 1 sentence is left out: 1 with a cycle" in lines


def test_a_file_of_no_trees_at_all_is_refused(trees: Trees) -> None:
    code, (line,) = trees.check(train=CYCLE + NO_ROOT)
    assert code == 2
    assert line.startswith("train:4: ") and "cycle" in line and "all 2 annotated sentences" in line


def test_a_cached_run_warns_again(trees: Trees) -> None:
    reported = [trees.train("--check", "--data_cache", "cache", train=GOOD + CYCLE, dev=TWO_ROOTS) for _ in "12"]
    assert reported[0] == reported[1] and len(reported[0][1]) == 2
    assert len(list(Path("cache").iterdir())) == 1


BAD_IDS = {
    "restart": (RESTART, 12, "a blank line is missing before line 12"),
    "restart where nothing is annotated": (
        sentence(["_"] * 10, [1, 2, 3, 4, 5] * 2),
        12,
        "a blank line is missing before line 12",
    ),
    "twice": (sentence(TREE, [1, 2, 3, 3, 5]), 10, "'3'"),
    "from zero": (FROM_ZERO, 7, "count from 1"),
    "one word from zero": (sentence([0], [0]), 7, "count from 1"),
}


@pytest.mark.parametrize("name", BAD_IDS)
@pytest.mark.parametrize("part", ["train", "dev", "prediction"])
def test_ids_that_restart_or_count_from_zero_are_refused_with_the_line(
    trees: Trees, model: Model, part: str, name: str
) -> None:
    text, line, what = BAD_IDS[name]
    if part == "prediction":
        Path("in").write_text(GOOD + text)
        with pytest.raises(DataError) as caught:
            predict_file(model, "in", "out")
        (reported,) = str(caught.value).splitlines()
        assert reported.startswith(f"in:{line}: ") and what in reported
        assert not Path("out").exists()
    else:
        code, (reported,) = trees.check(**{part: GOOD + text})
        assert code == 2
        assert reported.startswith(f"{part}:{line}: ") and what in reported


def test_numbers_that_are_no_ids_are_none(trees: Trees) -> None:
    # The number of the document, the same for all words: heads are positions.
    assert trees.check(train=sentence(TREE, [7] * 5) + sentence(TREE, [0] * 5)) == (0, [])
    assert trees.check(train=sentence([11, 12, 0, 14, 12], [10, 11, 12, 13, 14])) == (0, [])


WRONG = {
    "a cycle": (CYCLE, "in:10: ", "cycle"),
    "no root": (NO_ROOT, "in:7: ", "no word"),
    "a head that is no id": (sentence([2, 9, 0, 5, 3]), "in:8: ", "'9'"),
    "some heads missing": (sentence([2, "_", 0, 5, 3]), "in:8: ", "'_'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_gold_that_is_no_tree_is_predicted_and_not_scored_and_counted(
    trees: Trees, model: Model, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    text, place, what = WRONG[name]
    Path("in").write_text(GOOD + text + 3 * GOOD + text + sentence(["_"] * 4).replace("det", "_"))
    scores = predict_file(model, "in", "out")
    written = json.loads(Path("out.eval").read_text())
    counts = {key: value for key, value in written["dep"].items() if key not in ("las", "uas", "labels", "calibration")}
    assert counts == {"scored": 4, "skipped": 2, "scored_words": 20, "skipped_words": 10}
    assert written["upos"]["scored"] == 7 and written["upos"]["skipped"] == 0
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith(place) and what in warning and "2 sentences" in warning
    # The scores are those of the file without these sentences.
    Path("in").write_text(4 * GOOD)
    assert predict_file(model, "in", "out")["dep"] == scores["dep"]


def test_a_task_of_which_nothing_can_be_scored_has_its_counts_alone(trees: Trees, model: Model) -> None:
    Path("in").write_text(2 * CYCLE)
    assert "dep" not in predict_file(model, "in", "out")
    assert json.loads(Path("out.eval").read_text())["dep"] == {
        "scored": 0,
        "skipped": 2,
        "scored_words": 0,
        "skipped_words": 10,
    }


def test_what_is_not_annotated_is_no_fault(
    trees: Trees, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    Path("in").write_text("1\tdogs\n2\tran\n\n" + sentence(["_"] * 3).replace("det", "_"))
    predict_file(model, "in", "out")
    assert "dep" not in json.loads(Path("out.eval").read_text())
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_training_counts_what_the_dev_scores_leave_out(trees: Trees) -> None:
    code, lines = trees.train("--model_dir", "run", dev=GOOD + CYCLE + 2 * GOOD)
    assert code == 0
    assert len(lines) == 1, "the same warning twice"
    counts = {"scored": 3, "skipped": 1, "scored_words": 15, "skipped_words": 5}
    written = json.loads(Path("run/T.out.eval").read_text())["dep"]
    assert {key: written[key] for key in counts} == counts
    for epoch in json.loads(Path("run/history.json").read_text()):
        assert epoch["counts"]["T"]["dep"] == counts


def test_the_table_of_scores_says_what_was_skipped(trees: Trees, model: Model) -> None:
    trees.train("--model_dir", "run")
    Path("in").write_text(GOOD + CYCLE)
    trees.capsys.readouterr()
    assert cli.predict(["run", "in", "out", "--device", "-1"]) == 0
    rows = [line.split() for line in trees.capsys.readouterr().out.splitlines()]
    assert ["dataset", "task", "metric", "score", "scored", "skipped"] in rows
    assert [row[4:] for row in rows if row[:3] == ["T", "dep", "las"]] == [["1", "1"]]


def relations_are_right(path: Path, roots: set[str]) -> bool:
    rows = [line.split("\t") for line in path.read_text().splitlines() if line and line[0] != "#"]
    assert any(row[6] == "0" for row in rows) and any(row[6] != "0" for row in rows)
    return all((row[7] in roots) == (row[6] == "0") for row in rows)


def test_a_predicted_root_has_the_relation_of_roots_and_no_other_word_has_it(
    trees: Trees, model: Model
) -> None:
    Path("in").write_text(10 * (GOOD + sentence([0]) + sentence([0, 1])))
    predict_file(model, "in", "out")
    assert relations_are_right(Path("out"), {"root"})
    predict_file(model, "in", "ranked", top_n=9)
    for line in filter(None, Path("ranked").read_text().splitlines()):
        heads, relations = line.split("\t")[6:8]
        assert ("root=" in relations) == heads.startswith("0=")
        assert relations.startswith(("root=1.0000", "det=1.0000"))


@pytest.mark.parametrize("seed", range(3))
def test_roots_of_several_relations_have_one_of_them(trees: Trees, seed: int) -> None:
    trees.config(train=GOOD + sentence(TREE, root="top") + sentence([0, 1], root="top"))
    overrides = [f"random_seed={seed}"]
    config = load_config(["c.json"], parameters_config=trees.params, overrides=overrides)
    Path("in").write_text(4 * GOOD + sentence([0]))
    predict_file(build_model(config, read_data(config)), "in", "out")
    assert relations_are_right(Path("out"), {"root", "top"})


def test_a_relation_that_training_shows_at_roots_and_elsewhere_may_be_in_both(trees: Trees) -> None:
    trees.config(train=GOOD + sentence([0, 1], root="det"))
    config = load_config(["c.json"], parameters_config=trees.params)
    model = build_model(config, read_data(config))
    ids = model.vocabularies["dep"].ids
    forbidden = model.decoder("dep").forbidden
    assert forbidden[0, ids(["root", "det"])].tolist() == [False, False]
    assert forbidden[1, ids(["root", "det"])].tolist() == [True, False]


def test_a_slip_in_the_training_data_gives_no_other_word_the_relation_of_roots(trees: Trees) -> None:
    slips = GOOD.replace("det", "root", 1) + sentence(TREE, root="det")
    command = trees.config(train=20 * GOOD + slips)
    assert cli.train([*command, "--check"]) == 0
    printed = trees.capsys.readouterr().err
    assert "1 of the words that are not the root in the training data have the relation 'root'" in printed
    assert "1 of the roots in the training data have the relation 'det'" in printed
    config = load_config(["c.json"], parameters_config=trees.params)
    Path("in").write_text(4 * GOOD + sentence([0]))
    predict_file(build_model(config, read_data(config)), "in", "out")
    assert relations_are_right(Path("out"), {"root"})


def test_a_column_of_tags_as_heads_is_one_line(trees: Trees) -> None:
    tags = GOOD.replace("\t2\tdet", "\tADJ\tdet").replace("\t3\tdet", "\tNOUN\tdet").replace("\t0\t", "\tVERB\t")
    tags = "# tags\n" + tags.replace("\t5\tdet", "\tADV\tdet") + tags.partition("\n")[0] + "\n\n"
    code, lines = trees.check(train=tags)
    assert code == 2 and len(lines) == 1
    assert lines[0].startswith("train:2: found the head 'ADJ' in column 6 (task 'dep'), expected the id of ")
    assert lines[0].endswith("; set column_idx to the column of the heads (and 5 more lines like it: 3, 4, 5, ...)")


def test_a_missing_relation_next_to_a_head_is_a_missing_label(trees: Trees) -> None:
    partly = GOOD.replace("det", "_", 1)
    code, lines = trees.check(train=3 * GOOD + partly)
    assert code == 2 and lines[0].startswith("train:19: found no relation ('_') next to the head '2' (task 'dep')")
    assert trees.train("--model_dir", "run")[0] == 0
    Path("in").write_text(GOOD + partly)
    assert cli.predict(["run", "in", "out", "--device", "-1"]) == 0
    scores = json.loads(Path("out.eval").read_text())["dep"]
    assert (scores["scored"], scores["skipped"]) == (1, 1)


@pytest.mark.parametrize("older", [False, True])
def test_a_saved_model_knows_the_relations_of_roots(trees: Trees, older: bool) -> None:
    assert trees.train("--model_dir", "run", train=3 * GOOD + TWO_ROOTS)[0] == 0
    path = Path("run/model/labels.json")
    labels = json.loads(path.read_text())
    if older:
        labels["dep"].pop("root_counts", None)
        path.write_text(json.dumps(labels))
    Path("in").write_text(10 * GOOD)
    model = load("run")
    for parameter in model.decoder("dep").relations.parameters():
        parameter.data.normal_()
    predict_file(model, "in", "out")
    assert relations_are_right(Path("out"), {"root"})


def test_a_sentence_in_parts_has_one_root_and_one_relation_of_roots(
    trees: Trees, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("machamp_lite.inference.engine.MAX_PART_SUBWORDS", 20)
    model.tokenizer.max_input_length = 9
    (predicted,) = predict_words(model, [WORDS * 20])
    roots = [relation for head, relation in predicted["dep"] if head == 0]
    assert roots == ["root"]
    assert {relation for head, relation in predicted["dep"] if head} == {"det"}
    Path("in").write_text("".join(f"{number}\t{word}\n" for number, word in enumerate(WORDS * 20, start=1)))
    predict_file(model, "in", "out", top_n=3)
    rows = [line.split("\t") for line in Path("out").read_text().splitlines() if line]
    assert sum("root=" in row[7] for row in rows) == 1
    assert all(row[6].startswith("0=") == ("root=" in row[7]) for row in rows)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["root", "det", "dep", "parataxis"], "parataxis"),
        (["root", "det", "dep"], "dep"),
        (["root", "det", "obj"], "obj"),
    ],
)
def test_the_roots_of_later_parts_get_a_relation_for_loose_ends(
    trees: Trees, labels: list[str], expected: str
) -> None:
    text = "".join(
        "".join(
            f"{number}\tdogs\t_\tX\t_\t_\t{number - 1}\t{'root' if number == 1 else relation}\t_\t_\n"
            for number, relation in enumerate([*labels, labels[-1]], start=1)
        )
        + "\n"
    )
    trees.config(train=text)
    config = load_config(["c.json"], parameters_config=trees.params)
    decoder: Any = build_model(config, read_data(config)).decoder("dep")
    assert isinstance(decoder, Dependency)
    parts = [[(2, "det"), (0, "root")], [(0, "root"), (1, "det")]]
    assert decoder.join(parts) == [(2, "det"), (0, "root"), (2, expected), (3, "det")]


def ud_errors(path: Path) -> list[str]:
    """What the official validation says of the format and the trees of a file; "det" fits nothing, in truth."""
    state = validator.Validator(level=3, output=None).validate_files([str(path)])
    return [error.testid for error in state.error_tracker if not error.testid.startswith("rel-upos")]


def test_predicted_trees_pass_the_validation_of_universal_dependencies(trees: Trees, model: Model) -> None:
    text = [f"# sent_id = {number}\n# text = {' '.join(WORDS)}\n{GOOD}" for number in range(20)]
    Path("in.conllu").write_text("".join(text))
    predict_file(model, "in.conllu", "out.conllu")
    assert ud_errors(Path("out.conllu")) == []
