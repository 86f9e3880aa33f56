"""Whatever configs, params, flags, data and model folders hold: no traceback, plain lines, and no file elsewhere.

``make fuzz`` runs it with random seeds and as many examples as one likes.
"""

import contextlib
import copy
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzzing import (
    DATASETS,
    EXAMPLES,
    ODD_TEXTS,
    PAIRS,
    PLAIN,
    TREEBANK,
    fuzzed,
    params_for,
    predict,
    random_trees,
    randoms,
    spoil_bytes,
    spoil_columns,
    spoil_folder,
    spoil_json,
    spoil_labels,
    train,
    write_workplace,
)
from hypothesis import given
from span_schemes import SEQEVAL, labels_of, random_labels, random_spans
from tiny_tokenizers import FAMILIES, WORDS, Tokenizers
from transformers import AutoTokenizer

from machamp_lite.data.span_schemes import EDGE, SCHEMES
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.errors import ConfigError
from machamp_lite.files.atomic import open_output, write_json
from machamp_lite.inference.file_pairs import check_pairs, scores_path
from machamp_lite.model import pretrained
from machamp_lite.model import serialization as checkpoint
from machamp_lite.model.serialization import load_model
from machamp_lite.training import data

pytestmark = pytest.mark.slow

TRAIN = ["--dataset_configs", "c.json", "--parameters_config", "p.json"]
# A model that is as it was written must be able to score whatever it is given.
CANNOT = "the model cannot score"


@pytest.fixture(autouse=True)
def counted(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Says how many examples a fuzz test had, where someone waits for it."""
    yield
    if EXAMPLES:
        with capsys.disabled():
            print(f"{request.node.name}: {EXAMPLES} examples")


@pytest.fixture
def place(encoder: str, many_tasks: Path) -> Iterator[Path]:
    """A folder with good files, to be spoilt."""
    with tempfile.TemporaryDirectory() as folder:
        write_workplace(Path(folder), encoder)
        yield Path(folder)


@pytest.fixture
def known_encoder(encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads the tiny encoder's tokenizer once, and asks no hub for other ones."""
    tokenizer = pretrained.load_tokenizer(encoder)
    load = pretrained.load_tokenizer
    monkeypatch.setattr(data, "load_tokenizer", lambda name: tokenizer if name == encoder else load(name))


@pytest.fixture
def known_model(many_tasks: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Loads the model once."""
    model = load_model(many_tasks / "run")
    monkeypatch.setattr(checkpoint, "load_model", lambda *_, **__: model)
    return str(many_tasks / "run")


@fuzzed(300)
@given(random=randoms)
def test_configs(random: Random, place: Path, known_encoder: None) -> None:
    config = copy.deepcopy(DATASETS)
    if random.random() < 0.5:
        config = {name: config[name] for name in random.sample(list(config), 1)}
    spoil_json(config, random)
    (place / "c.json").write_text(json.dumps(config))
    train(*TRAIN, "--check", folder=place)


@fuzzed(260)
@given(random=randoms)
def test_params(random: Random, place: Path, known_encoder: None, encoder: str) -> None:
    params: Any = copy.deepcopy(params_for(encoder))
    params["decoders"]["seq"] = {"metric": "accuracy", "focal_gamma": 0.0}
    params["encoder"]["lora"] = random.choice(
        [None, {"rank": 2, "alpha": 4, "dropout": 0.0, "target_modules": None}]
    )
    params["training"]["learning_rate_scheduler"] = {"cut_frac": 0.1, "decay_factor": 0.08}
    spoil_json(params, random)
    (place / "p.json").write_text(json.dumps(params))
    train(*TRAIN, "--check", folder=place)


@fuzzed(150)
@given(random=randoms)
def test_bytes_of_configs(random: Random, place: Path, known_encoder: None, encoder: str) -> None:
    write_workplace(place, encoder)
    name = random.choice(["c.json", "p.json"])
    (place / name).write_bytes(spoil_bytes((place / name).read_bytes(), random))
    train(*TRAIN, "--check", folder=place)


FLAGS = [
    *(
        "--check",
        "--overwrite",
        "--sequential",
        "--name",
        "--model_dir",
        "--resume",
        "--seed",
        "--retrain",
        "--set",
    ),
    *(
        "--dataset_configs",
        "--parameters_config",
        "--device",
        "--help",
        "--epochs",
        "-x",
        "--",
        "c.json",
        "p.json",
    ),
]
VALUES = [
    *(
        "c.json",
        "p.json",
        "ud",
        "run",
        "none",
        ".",
        "training.num_epochs=1",
        "UD.max_sents=1",
        "x=1",
        "=",
        "a.b.c",
    ),
    *(
        "training=1",
        "UD=1",
        "UD.tasks.upos=[]",
        "1",
        "-1",
        "-2",
        "1e9",
        "9" * 400,
        "[" * 5000,
        "UD." + "a." * 50 + "b=1",
    ),
    *("UD.tasks.upos.column_idx=10000000", "batching.max_tokens=99999999999999999999", "UD.word_idx=null"),
    *(
        "encoder.max_input_length=3",
        "encoder.max_input_length=4",
        "training.optimizer.lr=1e300",
        "random_seed=-1",
    ),
    *(text for text in ODD_TEXTS if "\0" not in text),
]


@fuzzed(300)
@given(random=randoms)
def test_flags_of_train(random: Random, place: Path, known_encoder: None) -> None:
    arguments = [*TRAIN]
    for _ in range(random.randrange(1, 5)):
        where = random.randrange(len(arguments) + 1)
        match random.randrange(4):
            case 0:
                arguments[where:where] = [random.choice(FLAGS), random.choice(VALUES)]
            case 1:
                arguments.insert(where, random.choice([*FLAGS, *VALUES]))
            case 2:
                del arguments[where : where + 1]
            case _:
                arguments += ["--set", random.choice(VALUES)]
    # What is no good name of a run's folder is refused; all that is written is in it.
    train(*arguments, "--check", folder=place)


@fuzzed(150)
@given(random=randoms)
def test_flags_of_predict(random: Random, place: Path, known_model: str) -> None:
    arguments = [known_model, "ud", "out", "--dataset", "UD"]
    flags = [
        "--dataset",
        "--batch_size",
        "--max_sents",
        "--raw_text",
        "--pre_tokenized",
        "--topn",
        "--conn",
        "--sep",
    ]
    for _ in range(random.randrange(1, 4)):
        where = random.randrange(len(arguments) + 1)
        match random.randrange(3):
            case 0:
                arguments += [
                    random.choice([*flags, "--threshold", "--device"]),
                    random.choice(["2", *VALUES]),
                ]
            case 1:
                arguments.insert(where, random.choice([*flags, "UD", "PAIRS", "TEXT", "2", "0.5", "none"]))
            case _:
                del arguments[where : where + 1]
    outputs = [name for name in arguments[2:] if not name.startswith("-")]
    if set(outputs) <= {"out", "UD", "PAIRS", "TEXT", "2", "0.5", "none"}:
        _, lines = predict(*arguments, folder=place)
        assert not any(CANNOT in line for line in lines)
    for path in place.iterdir():
        if path.name not in ("ud", "pairs", "text", "c.json", "p.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


DATA = {"UD": TREEBANK, "PAIRS": PAIRS, "TEXT": PLAIN}


def spoilt_data(random: Random, dataset: str) -> bytes:
    """A file with odd cells, rows or bytes."""
    text = DATA[dataset] * random.choice([1, 1, 2])
    if random.random() < 0.7:
        text = spoil_columns(text, random)
    if random.random() < 0.05:
        return random.choice([text.encode("utf-16"), text.encode("utf-32-le"), gzip.compress(text.encode())])
    content = text.encode(errors="surrogatepass")
    return spoil_bytes(content, random) if random.random() < 0.5 else content


@fuzzed(500)
@given(random=randoms)
def test_data_that_is_predicted(random: Random, place: Path, known_model: str) -> None:
    dataset = random.choice(list(DATA))
    content = spoilt_data(random, dataset)
    (place / "in").write_bytes(content)
    raw = ["--raw_text"]
    flags = random.choice(
        [
            *([], [], raw, [*raw, "--pre_tokenized"], ["--topn", "3"], ["--max_sents", "2"]),
            ["--batch_size", "1"],
        ]
    )
    named = [] if random.random() < 0.2 else ["--dataset", dataset]
    code, lines = predict(known_model, "in", "out", *named, *flags, folder=place)
    assert not any(CANNOT in line for line in lines)
    if code == 0 and dataset == "UD" and named and raw[0] in flags:
        unpacked = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        texts = [line.strip() for line in unpacked.decode().removeprefix("\ufeff").split("\n")]
        written = (place / "out").read_bytes().decode().split("\n")
        found = [line.removeprefix("# text = ") for line in written if line.startswith("# text = ")]
        assert found == list(filter(None, texts))


@fuzzed(250)
@given(random=randoms)
def test_data_that_is_checked(random: Random, place: Path, known_encoder: None) -> None:
    dataset = random.choice(list(DATA))
    (place / "c.json").write_text(json.dumps({dataset: {**DATASETS[dataset], "train_data_path": "in"}}))
    (place / "in").write_bytes(spoilt_data(random, dataset))
    train(*TRAIN, "--check", folder=place)


@fuzzed(25)
@given(random=randoms)
def test_data_that_is_trained_on(random: Random, place: Path, known_encoder: None) -> None:
    dataset = random.choice(list(DATA))
    (place / "c.json").write_text(json.dumps({dataset: {**DATASETS[dataset], "train_data_path": "in"}}))
    (place / "in").write_text(spoil_columns(DATA[dataset], random), encoding="utf-8", newline="")
    train(*TRAIN, "--model_dir", "run", "--overwrite", folder=place)


@fuzzed(500)
@given(random=randoms)
def test_schemes_of_spans(random: Random) -> None:
    name, words = random.choice(list(SEQEVAL)), random.randrange(1, 20)
    scheme, kinds = SCHEMES[name], random.choice(["ab", "a", ("x-y", "é"), ("", "a"), ("B-", "O")])
    found = random_spans(random, words, kinds)
    labels = labels_of(found, words, name)
    assert scheme.spans(labels) == found
    assert all(map(scheme.allows, [EDGE, *labels], [*labels, EDGE]))
    # Whatever the labels are: spans lie within the sentence, in order, and are read again as they are.
    spoilt = spoil_labels(random.choice([labels, random_labels(random, words, name)]), random)
    for other, other_scheme in SCHEMES.items():
        read = other_scheme.spans(spoilt)
        assert all(start < end <= words for start, end, _ in read)
        assert all(one[1] <= two[0] for one, two in zip(read, read[1:], strict=False))
        assert other_scheme.spans(labels_of(read, words, other)) == read


@fuzzed(25)
@given(random=randoms)
def test_files_of_spans(random: Random, place: Path, known_encoder: None) -> None:
    columns = []
    for _ in range(random.randrange(1, 6)):
        words, name = random.randrange(1, 9), random.choice(list(SEQEVAL))
        labels = labels_of(random_spans(random, words), words, name)
        columns.append(spoil_labels(labels, random) if random.random() < 0.7 else labels)
    text = "".join("".join(f"dog\t{label}\n" for label in labels) + "\n" for labels in columns)
    (place / "in").write_text(text, encoding="utf-8", newline="")
    scheme = random.choice(["auto", "auto", *SCHEMES])
    task = {"task_type": "seq_bio", "column_idx": 1, "scheme": scheme}
    dataset = {"train_data_path": "in", "dev_data_path": "in", "word_idx": 0, "tasks": {"spans": task}}
    (place / "c.json").write_text(json.dumps({"D": dataset}))
    train(*TRAIN, "--check", folder=place)


# Parts of jsonnet configs, some of which go wrong, some for ever.
EXPRESSIONS = [
    *("1", "'x'", "[1, 2]", "{ a: 1 }", "null", "std.length('abc')", "self", "$", "error 'no'", "1 / 0", "{}.a"),
    *("import 'part.libsonnet'", "importstr 'part.libsonnet'", "import '../x'", "importstr '/etc/passwd'"),
    *("importbin '/dev/zero'", "import 'none'", "import 'c.json'", "importstr 'pipe'", "std.repeat('x', 1e10)"),
    *("std.range(1, 1e10)", "(local f(n) = f(n + 1); f(0))", "(local f(n) = if n < 1 then 1 else f(n - 1); f(300))"),
]


@fuzzed(40)
@given(random=randoms)
def test_jsonnet_configs(random: Random, place: Path, known_encoder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("machamp_lite.config.jsonnet.MOST_SECONDS", 2)
    (place / "part.libsonnet").write_text(random.choice(["{ task_type: 'seq', column_idx: 3 }", "broken", "{a:1}.b"]))
    if not (place / "pipe").exists():
        os.mkfifo(place / "pipe")
    first, second = random.choices(EXPRESSIONS, k=2)
    operator = random.choice(["+", "-", "==", "in", "%"])
    config = json.dumps(DATASETS)
    hole = random.choice(['"seq"', "3", '"ud"', "0.5"])
    config = config.replace(hole, random.choice([first, f"({first}) {operator} ({second})"]), 1)
    (place / "c.json").write_text(config if random.random() < 0.8 else f"{first} {operator} {second}")
    _, lines = train(*TRAIN, "--check", folder=place)
    assert not any("root:" in line for line in lines), lines


@fuzzed(80)
@given(random=randoms)
def test_model_folders_with_links_and_bombs(random: Random, place: Path, many_tasks: Path) -> None:
    shutil.rmtree(place / "run", ignore_errors=True)
    (place / "kept").unlink(missing_ok=True)
    shutil.copytree(many_tasks / "run" / "model", place / "run")
    names = ["config.json", "labels.json", "encoder/config.json", "encoder/tokenizer.json", "model.safetensors"]
    spoil_folder(place / "run", names, random)
    code, lines = predict("run", "ud", "out", "--dataset", "UD", folder=place)
    assert code in (0, 2), lines
    assert code == 0 or any("run" in line or CANNOT in line for line in lines), lines


@fuzzed(250)
@given(random=randoms)
def test_model_folders(random: Random, place: Path, many_tasks: Path) -> None:
    shutil.rmtree(place / "run", ignore_errors=True)
    shutil.copytree(many_tasks / "run" / "model", place / "run")
    names = ["config.json", "labels.json", "encoder/config.json", "encoder/tokenizer_config.json"]
    names += ["encoder/tokenizer.json", "model.safetensors"]
    path = place / "run" / random.choice(names)
    if random.random() < 0.7 and path.suffix == ".json":
        value = json.loads(path.read_text(encoding="utf-8"))
        spoil_json(value, random)
        path.write_text(json.dumps(value), encoding="utf-8")
    elif random.random() < 0.2:
        path.write_bytes((place / "run" / random.choice(names)).read_bytes())
    else:
        path.write_bytes(spoil_bytes(path.read_bytes(), random))
    dataset = random.choice(["UD", "PAIRS"])
    source = {"UD": "ud", "PAIRS": "pairs"}[dataset]
    code, lines = predict("run", source, "out", "--dataset", dataset, folder=place)
    if code == 0:
        kept = [(place / name).read_text().count("\n") for name in (source, "out")]
        assert kept[0] <= kept[1], "rows are lost"
    else:
        assert any("run" in line or "--dataset" in line or CANNOT in line for line in lines), lines


# Scripts, marks, digits, punctuation and what some tokenizers normalise; the tiny tokenizers know few of the words.
CHARACTERS = "aeitnsTHIX0129.,:;!?'-_()[]{}#@&/\\äßñéøœИжΩ猫が한هह्ि\u0301\u0338\u200d\u20e3🙂👩½ﬁＡ"
TOKENIZERS = sorted(FAMILIES.keys() - {"distilbert", "electra", "bart", "canine"})


@pytest.fixture(scope="session")
def known_tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, WordTokenizer]]:
    """A tokenizer of each family as published, and as words are given to it."""
    folders = Tokenizers(tmp_path_factory.mktemp("tokenizers"))
    return {
        family: (
            AutoTokenizer.from_pretrained(folders[family]),
            WordTokenizer(
                pretrained.load_tokenizer(folders[family]), max_input_length=10**6, long_input="truncate"
            ),
        )
        for family in TOKENIZERS
    }


@fuzzed(400)
@given(random=randoms)
def test_tokenizers(random: Random, known_tokenizers: dict[str, tuple[Any, WordTokenizer]]) -> None:
    family = random.choice(TOKENIZERS)
    published, words = known_tokenizers[family]
    sentence = []
    for _ in range(random.randrange(1, 12)):
        word = "".join(random.choices(CHARACTERS, k=random.choice([1, 1, 2, 3, 5, 9])))
        word = random.choice(
            [word, random.choice(WORDS), word + random.choice(WORDS), random.choice(ODD_TEXTS)]
        )
        # One that holds a special token, or nothing that the tokenizer keeps, is none in running text either.
        special = any(token in word for token in published.all_special_tokens)
        if word.split() == [word] and not special and published(word, add_special_tokens=False)["input_ids"]:
            sentence.append(word)
    if not sentence:
        return
    running, first = published([" ".join(sentence), sentence[0]], add_special_tokens=False)["input_ids"]
    before, after = len(words.special.before), len(words.special.after)
    ids = words.sentences([sentence])[0].subword_ids.tolist()
    ids = ids[before : len(ids) - after]
    first_word = words.sentences([sentence[:1]])[0].subword_ids
    assert ids[len(first_word) - before - after :] == running[len(first) :], (family, sentence)
    text = words.texts([[" ".join(sentence)]])[0].subword_ids.tolist()
    assert text[before : len(text) - after] == running, (family, sentence)


def tree_faults(path: Path) -> list[str]:
    """What makes the sentences of a file no trees with one root, and which relations of roots are wrong."""
    faults = []
    for block in path.read_text(encoding="utf-8").strip("\n").split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n") if not line.startswith("#")]
        ids = [row[0] for row in rows]
        known = ids if len(set(ids)) == len(ids) and all(map(str.isdecimal, ids)) else None
        places = {number: place for place, number in enumerate(known or map(str, range(1, len(ids) + 1)))}
        if sum(row[6] == "0" for row in rows) != 1:
            faults.append(f"{ids}: not one root")
        for place in range(len(rows)):
            for _ in rows:
                place = places[rows[place][6]] if rows[place][6] != "0" else place
            if rows[place][6] != "0":
                faults.append(f"{ids}: a cycle")
        if any((row[7] == "root") != (row[6] == "0") for row in rows):
            faults.append(f"{ids}: 'root' is not the relation of the root")
    return faults


def has_wrong_ids(text: str) -> bool:
    """Whether the ids of a sentence restart or count from 0, as far as its first column holds ids."""
    for block in text.strip("\n").split("\n\n"):
        ids = [line.split("\t")[0] for line in block.split("\n")]
        if all(map(str.isdecimal, ids)):
            is_twice = 1 < len(set(ids)) < len(ids)
            if is_twice or ("0" in ids and len(set(ids)) == len(ids)):
                return True
    return False


@fuzzed(60)
@given(random=randoms)
def test_trees_that_are_predicted(random: Random, place: Path, known_model: str) -> None:
    text = random_trees(random)
    (place / "in").write_text(text, encoding="utf-8")
    code, lines = predict(known_model, "in", "out", "--dataset", "UD", folder=place)
    assert not any(CANNOT in line for line in lines)
    assert (code != 0) == has_wrong_ids(text), lines
    if code == 0:
        assert tree_faults(place / "out") == []
        for task in json.loads((place / "out.eval").read_text(encoding="utf-8")).values():
            assert task["scored"] + task["skipped"] > 0
    else:
        assert all(line.startswith("in:") for line in lines), lines


@fuzzed(20)
@given(random=randoms)
def test_trees_that_are_checked(random: Random, place: Path, known_encoder: None) -> None:
    part = random.choice(["train_data_path", "dev_data_path"])
    tasks = {name: DATASETS["UD"]["tasks"][name] for name in ("upos", "tree")}
    (place / "c.json").write_text(json.dumps({"UD": {**DATASETS["UD"], "tasks": tasks, part: "in"}}))
    text = random_trees(random)
    (place / "in").write_text(text, encoding="utf-8")
    code, lines = train(*TRAIN, "--check", folder=place)
    assert code == 0 or all(line.startswith("in:") for line in lines), lines
    assert code != 0 or not has_wrong_ids(text)


INPUTS = ["in", "second", "link", "hard", "folder/in", "./in", "again/in", "x.eval"]
TARGETS = [
    *INPUTS,
    *("in/", "in/.", ".//in", "folder/../in", "again/../in", "o", "./o", "folder/o", "again/o", "x", "./x", "o.eval"),
    *("dangling", "circle", "folder", "folder/", "", " ", "none/o", "x.eval/", "link.eval", "chain", "o/../in"),
]


@fuzzed(300)
@given(random=randoms)
def test_paths_of_predict(random: Random) -> None:
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        os.mkdir("folder")
        for name in ("in", "second", "folder/in", "x.eval"):
            Path(name).write_text(name)
        os.link("in", "hard")
        links = {"link": "second", "again": "folder", "dangling": "gone", "circle": "circle", "chain": "link"}
        for name, target in links.items():
            os.symlink(target, name)
        pairs = [(random.choice(INPUTS), random.choice(TARGETS)) for _ in range(random.choice([1, 2, 2, 3]))]
        before = {source: Path(source).read_text() for source, _ in pairs}
        with contextlib.suppress(ConfigError):
            check_pairs(pairs)
            # Whatever is allowed can be written, and leaves every input as it is.
            for _, target in pairs:
                with open_output(target) as file:
                    file.write("new")
                scores = scores_path(target)
                assert scores is not None
                write_json(scores, {})
        assert {source: Path(source).read_text() for source, _ in pairs} == before, pairs
        assert Path("link").is_symlink() and Path("again").is_symlink()
