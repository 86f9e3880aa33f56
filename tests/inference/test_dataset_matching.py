"""Without a name, an input is read as the one dataset that it looks like; if that is not clear, nothing is guessed."""

import bz2
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.config import Config, load_config
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.inference.dataset_matching import matching_dataset, matching_datasets


def dataset(
    word_idx: int | None = None, sent_idxs: list[int] | None = None, skip_first_line: bool = False
) -> Any:
    return {"word_idx": word_idx, "sent_idxs": sent_idxs, "skip_first_line": skip_first_line}


UD, PAIRS, PLAIN = dataset(1), dataset(None, [0, 1]), dataset()
SLOTS, TEXTS, LAST = dataset(0), dataset(None, [0]), dataset(None, [5])
ALL = {"UD": UD, "PAIRS": PAIRS, "PLAIN": PLAIN}


@pytest.fixture
def config(tmp_path: Path) -> Callable[[dict[str, Any]], Config]:
    """A config of these datasets; by default each has a task of its own, whose labels are in no file here."""

    def make(datasets: dict[str, Any]) -> Config:
        (tmp_path / "train").touch()
        raw = {name: {"train_data_path": str(tmp_path / "train"), **one} for name, one in datasets.items()}
        for name, one in raw.items():
            one.setdefault("tasks", {f"task of {name}": default_task(one)})
        (tmp_path / "config.json").write_text(json.dumps(raw))
        loaded = load_config([tmp_path / "config.json"])
        # Not sorted by name.
        return loaded.model_copy(update={"datasets": {name: loaded.datasets[name] for name in datasets}})

    return make


def default_task(dataset: dict[str, Any]) -> dict[str, Any]:
    if dataset["word_idx"] is None and dataset["sent_idxs"] is None:
        return {"task_type": "mlm"}
    return {"task_type": "classification" if dataset["word_idx"] is None else "seq", "column_idx": 9}


def match(config: Config, name: str | None, source: str | Path, *, raw_text: bool = False) -> str:
    vocabularies = {task: Vocabulary(LABELS.get(task, ())) for task in config.tasks()}
    return matching_dataset(config, name, source, vocabularies=vocabularies, raw_text=raw_text)


TREEBANK = "# text = The dogs\n1\tThe\t_\n2\tdogs\t_\n\n# text = Run !\n1\tRun\t_\n2\t!\t_\n"
PAIR_LINES = "a dog sleeps\tit ran\tyes\nhe left\tshe stayed\tno\n"
PLAIN_LINES = "a dog sleeps .\nit ran .\n"

FITTING = [
    (ALL, TREEBANK, "UD"),
    (ALL, TREEBANK.replace("\n", "\r\n"), "UD"),
    (ALL, "\ufeff\n\n" + TREEBANK.replace("# text = ", "#"), "UD"),
    (ALL, "1\tThe\n2\tdogs\n\n1\tRun\n\n1\tRun\n2\t!\n", "UD"),
    (ALL, "1\t#\n2\tdogs\n\n1\t10 000\n2\t!\n", "UD"),
    (ALL, PAIR_LINES, "PAIRS"),
    (ALL, PAIR_LINES + "\n\nthey sat\twe stood\tno\n", "PAIRS"),
    (ALL, PAIR_LINES.replace("\n", "\n\n"), "PAIRS"),
    (ALL, "good\tbad\n" * 2000, "PAIRS"),
    (ALL, "# a hash\tit ran\tyes\n# b\tc d\tno\n", "PAIRS"),
    (ALL, PLAIN_LINES, "PLAIN"),
    (ALL, PLAIN_LINES + "\n" + PLAIN_LINES, "PLAIN"),
    ({"SLOTS": SLOTS, "PLAIN": PLAIN}, "The\ndogs\n\nRun\n!\n", "SLOTS"),
    ({"UD": UD, "LAST": LAST}, "a\tb\tc\td\te\tsome text\n", "LAST"),
    ({"UD": UD, "TEXTS": TEXTS}, "so good\tjoy\nso bad\tgrief\n", "TEXTS"),
    ({"SLOTS": SLOTS, "PLAIN": PLAIN}, "#MeToo\n#tag\n\n#a\n#b\n#c\n", "SLOTS"),
    ({"SLOTS": SLOTS, "PAIRS": PAIRS}, "-DOCSTART-\tO\n\n#MeToo\tO\nis\tO\n\nthis\tO\nis\tO\n", "SLOTS"),
    ({"UD": UD, "HEADED": dataset(None, [1], True)}, "h\nx\ta text\ny\tother text\n", "HEADED"),
]


@pytest.mark.parametrize(("datasets", "content", "expected"), FITTING)
def test_the_one_dataset_that_fits_is_taken_and_logged(
    config: Callable[[Any], Config],
    datasets: dict[str, Any],
    content: str,
    expected: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "in").write_bytes(content.encode())
    with caplog.at_level("INFO", logger="machamp_lite"):
        assert match(config(datasets), None, tmp_path / "in") == expected
    assert f"in: read as {expected} (" in caplog.text


UNCLEAR = [
    ({"UD": UD, "EWT": dataset(1), "PAIRS": PAIRS}, TREEBANK, "several datasets that may read it, UD, EWT;"),
    ({"UD": UD, "PAIRS": PAIRS}, "dogs\tNOUN\nran\tVERB\n", "several datasets that may read it, UD, PAIRS;"),
    ({"TEXTS": TEXTS, "PLAIN": PLAIN}, PLAIN_LINES, "several datasets that may read it, TEXTS, PLAIN;"),
    ({"UD": UD, "PAIRS": PAIRS}, PLAIN_LINES, "no dataset that reads it;"),
    ({"PAIRS": PAIRS, "PLAIN": PLAIN}, TREEBANK, "no dataset that reads it;"),
    (ALL, "", "no dataset that reads it;"),
]


@pytest.mark.parametrize(("datasets", "content", "found"), UNCLEAR)
def test_what_is_not_clear_is_one_line_that_lists_the_datasets(
    config: Callable[[Any], Config], datasets: dict[str, Any], content: str, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "in"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        match(config(datasets), None, path)
    (line,) = caught.value.faults
    assert line.startswith(f"{path}: found {found} expected --dataset with one of ")
    assert all(name in line for name in datasets)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (TREEBANK.encode("utf-16"), "found UTF-16, expected UTF-8; convert it, "),
        (TREEBANK.encode("utf-16-le"), "found UTF-16LE, expected UTF-8; convert it, "),
        (bz2.compress(TREEBANK.encode()), "found a bzip2 file, expected text; unpack it with bunzip2"),
        (TREEBANK.replace("\n", "\r").encode(), "found lines that end with CR alone, "),
    ],
)
def test_an_input_of_another_format_is_named(
    config: Callable[[Any], Config], content: bytes, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "in"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        match(config(ALL), None, path)
    (line,) = caught.value.faults
    assert line.startswith(f"{path}: {found}")


def test_the_only_dataset_and_a_given_one_are_taken_unseen(config: Callable[[Any], Config]) -> None:
    assert match(config({"UD": UD}), None, "no such file") == "UD"
    assert match(config(ALL), "PAIRS", "no such file") == "PAIRS"
    with pytest.raises(DataError, match=r"^gone: cannot be read \("):
        match(config(ALL), None, "gone")


def test_raw_text_is_for_the_one_dataset_that_can_be_made_of_it(
    config: Callable[[Any], Config], tmp_path: Path
) -> None:
    path = tmp_path / "in"
    path.write_text(PLAIN_LINES)
    assert match(config({"UD": UD, "PAIRS": PAIRS}), None, path, raw_text=True) == "UD"
    assert match(config({"TEXTS": TEXTS, "PAIRS": PAIRS}), None, path, raw_text=True) == "TEXTS"
    with pytest.raises(ConfigError, match="found several datasets that may read it, UD, PLAIN;"):
        match(config(ALL), None, path, raw_text=True)


LABELS = {
    "upos": ["DET", "NOUN", "VERB", "PUNCT"],
    "tree": ["det", "root", "punct"],
    "ner": ["B-PER", "O"],
    "topics": ["law", "food"],
    "mood": ["statement", "order"],
    "same": ["yes", "no"],
    "topic": ["law", "food"],
}
UPOS = {"upos": {"task_type": "seq", "column_idx": 3}}
TREE = {"tree": {"task_type": "dependency", "column_idx": 6}}
NER = {"ner": {"task_type": "seq_bio", "column_idx": 3}}
LAST_NER = {"ner": {"task_type": "seq_bio", "column_idx": 9}}
MOOD = {"mood": {"task_type": "classification", "column_idx": -1}}
TOPICS = {"topics": {"task_type": "multiseq", "column_idx": 3}}
LEMMA = {"lemma": {"task_type": "string2string", "column_idx": 2}}
SAME = {"same": {"task_type": "classification", "column_idx": 2}}
TOPIC = {"topic": {"task_type": "classification", "column_idx": 1}}
SCORE = {"score": {"task_type": "regression", "column_idx": 2}}


def words(tasks: dict[str, Any], **keys: Any) -> Any:
    return {"word_idx": 1, "sent_idxs": None, "tasks": tasks, **keys}


def texts(sent_idxs: list[int], tasks: dict[str, Any]) -> Any:
    return {"word_idx": None, "sent_idxs": sent_idxs, "tasks": tasks}


def rows(tags: str = "_ _", relations: str = "_ _", ner: str = "_", comment: str = "# text = The dogs") -> str:
    """Two sentences of two words with these labels."""
    lines = [
        f"{number}\t{word}\t_\t{tag}\t_\t_\t{'_' if relation == '_' else number - 1}\t{relation}\t_\t{ner}\n"
        for number, word, tag, relation in zip(
            (1, 2), ("The", "dogs"), tags.split(), relations.split(), strict=True
        )
    ]
    return 2 * (comment + "\n" + "".join(lines) + "\n")


UD_FILE, NER_FILE = rows("DET NOUN", "root punct"), rows("B-PER O")
BOTH_FILE = rows("DET NOUN", ner="O")
LEMMA_FILE = UD_FILE.replace("dogs\t_", "dogs\tx")
PAIR_FILE = "a\tb\tyes\nb\tc\tno\n"
ONE_OR_TWO = {"ONE": texts([0], TOPIC), "PAIRS": texts([0, 1], SAME)}
TWO_OF_PAIRS = {"SAME": texts([0, 1], SAME), "SCORE": texts([0, 1], SCORE)}
WITH_IDS = words(UPOS, dataset_embed_idx=-1)
BY_LABELS = [
    ({"UD": words(UPOS), "NER": words(NER)}, UD_FILE, "UD", "it has labels of upos"),
    ({"UD": words(UPOS), "NER": words(NER)}, NER_FILE, "NER", "it has labels of ner"),
    ({"UD": words(UPOS), "NER": words(LAST_NER)}, UD_FILE, "UD", "it has labels of upos"),
    ({"UD": words(UPOS | LAST_NER), "EWT": words(UPOS)}, BOTH_FILE, "UD", "it has labels of upos, ner"),
    ({"UD": words(UPOS), "EWT": words(UPOS | TREE)}, UD_FILE, "EWT", "it has labels of upos, tree"),
    ({"UD": words(UPOS | LEMMA), "NER": words(LAST_NER)}, LEMMA_FILE, "UD", "it has labels of upos"),
    ({"UD": words(UPOS), "MOOD": words(MOOD)}, rows(comment="# mood = order"), "MOOD", "it has labels of mood"),
    ({"UD": words(UPOS), "TOPICS": words(TOPICS)}, rows("law|food food"), "TOPICS", "it has labels of topics"),
    ({"UD": words(UPOS), "NER": words(LAST_NER)}, NER_FILE, "NER", "its labels are not those of UD"),
    ({"UD": words(UPOS), "PAIRS": texts([0, 1], SAME)}, PAIR_FILE, "PAIRS", "it has labels of same"),
    (ONE_OR_TWO, PAIR_FILE, "PAIRS", "it has labels of same"),
    (ONE_OR_TWO, "a b\tlaw\nb c\tfood\n", "ONE", "it has labels of topic"),
    (ONE_OR_TWO, "a b\t_\nb c\t_\n", "ONE", "the only dataset of this format"),
    (TWO_OF_PAIRS, PAIR_FILE.replace("yes", "2.5").replace("no", "1"), "SCORE", "it has labels of score"),
    ({"UD": words(UPOS), "EWT": words(UPOS)}, rows(), "UD", "the tasks of EWT are the same"),
    ({"UD": words(UPOS), "EWT": words(UPOS), "NER": words(NER)}, UD_FILE, "UD", "the tasks of EWT are the same"),
]


@pytest.mark.parametrize(("datasets", "content", "expected", "reason"), BY_LABELS)
def test_labels_decide_between_datasets_of_the_same_format(
    config: Callable[[Any], Config],
    datasets: dict[str, Any],
    content: str,
    expected: str,
    reason: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "in").write_text(content)
    with caplog.at_level("INFO", logger="machamp_lite"):
        assert match(config(datasets), None, tmp_path / "in") == expected
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path / 'in'}: read as {expected} (") and line.endswith(f"): {reason}")


LABELS_UNCLEAR = [
    # New lemmas are no sign of another dataset.
    ({"LEMMA": words(LEMMA), "NER": words(LAST_NER)}, LEMMA_FILE, "; --dataset LEMMA+NER predicts"),
    ({"UD": words(UPOS), "NER": words(LAST_NER)}, rows(), "; --dataset UD+NER predicts the tasks of all"),
    ({"UD": words(UPOS), "NER": words(LAST_NER)}, BOTH_FILE, "; --dataset UD+NER predicts"),
    ({"UD": words(UPOS), "NER": words(NER)}, rows(), "UD (words in column 1), NER (words in column 1)"),
    ({"UD": words(UPOS), "NER": words(NER)}, rows("a b"), "NER (words in column 1)"),
    ({"UD": WITH_IDS, "EWT": WITH_IDS}, UD_FILE, "EWT (words in column 1)"),
]


@pytest.mark.parametrize(("datasets", "content", "end"), LABELS_UNCLEAR)
def test_if_labels_do_not_decide_the_datasets_are_listed(
    config: Callable[[Any], Config], datasets: dict[str, Any], content: str, end: str, tmp_path: Path
) -> None:
    (tmp_path / "in").write_text(content)
    with pytest.raises(ConfigError) as caught:
        match(config(datasets), None, tmp_path / "in")
    (line,) = caught.value.faults
    assert f"in: found several datasets that may read it, {', '.join(datasets)}; expected --dataset" in line
    assert end in line and ("+" in line) == ("+" in end)


def test_undecided_inputs_are_reported_together(config: Callable[[Any], Config], tmp_path: Path) -> None:
    datasets = config({"UD": words(UPOS), "NER": words(NER), "PAIRS": texts([0, 1], SAME)})
    vocabularies = {task: Vocabulary(LABELS[task]) for task in datasets.tasks()}
    contents = {"ud": UD_FILE, "pairs": "a b\tc d\n", "one": rows(), "other": rows()}
    paths = []
    for name, content in contents.items():
        paths.append(tmp_path / name)
        paths[-1].write_text(content)
    assert matching_datasets(datasets, None, paths[:2], vocabularies=vocabularies) == ["UD", "PAIRS"]
    assert matching_datasets(datasets, ["NER"], paths[:2], vocabularies=vocabularies) == ["NER", "NER"]
    assert matching_datasets(datasets, ["NER", "UD"], paths[:2], vocabularies=vocabularies) == ["NER", "UD"]
    with pytest.raises(ConfigError) as caught:
        matching_datasets(datasets, None, paths, vocabularies=vocabularies)
    first, second = caught.value.faults
    assert first.startswith(f"{paths[2]}: found several") and second.startswith(f"{paths[3]}: found several")
