"""What the fuzz tests share: good files, ways to spoil them, and what must hold of a command whatever it is given."""

import contextlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from machamp_lite.cli import main as cli

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
# A user sees plain lines; the log of a run has the time in front, or is a table.
LOG_LINE = re.compile(r"\d\d:\d\d:\d\d |  |epoch \d|\s*$")
MOST_LINES = 20

randoms = st.randoms(use_true_random=True)


def fuzzed(examples: int) -> settings:
    """So many examples, the same in every run; as many as ``FUZZ_EXAMPLES`` says, of random seeds, where it is set."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


ODD_TEXTS = [
    *(
        "",
        " ",
        "_",
        "-",
        "..",
        "../x",
        "/",
        "\t",
        "\u200b",
        "\u202eabc",
        "\ufeff",
        "a|b=c",
        "=",
        "|",
        "#",
        "0",
        "-1",
    ),
    *(
        "nan",
        "1e999",
        "x" * 300,
        "\U0001f600",
        "\x85",
        "\x0b",
        "null",
        "[MASK]",
        "1-2",
        "8.1",
        "\u00e9\u0301",
        "1_000",
        "\u0661\u0662",
        "1e39",
        "a||b",
        "a|a",
        "NOUN ",
        "noun",
    ),
]
ODD_VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        3,
        0.5,
        -0.5,
        1e308,
        1e-320,
        10**6,
        10**9,
        2**31,
        2**63,
        10**40,
        -(10**40),
    ),
    *([], {}, [[]], [0], [-1, 10**9], ["a"], {"a": 1}, [None], [1.5]),
    *ODD_TEXTS,
]


def places_of(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value: its holder and its key there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from places_of(item)


def spoil_json(value: Any, random: Random) -> None:
    """Deletes, doubles, swaps or replaces what stands in a JSON value."""
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        places = list(places_of(value))
        if not places:
            return
        holder, key = random.choice(places)
        match random.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[random.choice([f"{key}s", f" {key}", *ODD_TEXTS])] = json.loads(
                    json.dumps(holder[key])
                )
            case 2:
                other, other_key = random.choice(places)
                holder[key] = json.loads(json.dumps(other[other_key]))
            case 3 if isinstance(holder[key], int | float):
                holder[key] = random.choice(
                    [-holder[key], holder[key] * 10**6, str(holder[key]), holder[key] + 1]
                )
            case _:
                holder[key] = random.choice(ODD_VALUES)


def spoil_bytes(content: bytes, random: Random) -> bytes:
    """Flips, cuts, doubles or puts in some bytes."""
    content = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 5])):
        place = random.randrange(len(content) + 1)
        match random.randrange(6):
            case 0:
                del content[place:]
            case 1:
                content[place:place] = random.choice(ODD_TEXTS).encode()
            case 2:
                content[place : place + 1] = bytes([random.randrange(256)])
            case 3:
                content[place:place] = content[place : place + random.randrange(60)]
            case 4:
                del content[place : place + random.randrange(60)]
            case _:
                content[place:place] = random.choice(
                    [b"\0", b"\r", b"\r\n", b"\n\n", b"\t", b"\xff", b"\xef\xbb\xbf", b"# "]
                )
    return bytes(content)


def spoil_columns(text: str, random: Random) -> str:
    """Puts odd cells, comments and line ends into a file of columns, other separators, or a header above it."""
    if random.random() < 0.1:
        return text.replace("\t", random.choice([" ", "    ", ",", ";"]))
    lines = text.split("\n")
    if random.random() < 0.1:
        names = random.choices(["text", "label", "ID", "Form", "score", "_", "1"], k=lines[-2].count("\t") + 1)
        lines.insert(0, "\t".join(names))
    for _ in range(random.choice([1, 2, 4])):
        place = random.randrange(len(lines))
        cells = lines[place].split("\t")
        match random.randrange(6):
            case 0:
                lines[place] += "\r"
            case 1:
                lines.insert(
                    place,
                    random.choice(
                        [
                            *("", "\t", "# x = y", "#", "# mood =", "# mood = a", "1-2\tx", "1.1\ty\tz", "_"),
                            *("#MeToo\tO", "-DOCSTART- -X- O", "0\t-DOCSTART-", "\u00a0", "a\u2028b  c"),
                        ]
                    ),
                )
            case 2:
                del lines[place]
            case 3:
                lines.insert(place, random.choice(lines))
            case _:
                cells[random.randrange(len(cells))] = random.choice(ODD_TEXTS)
                lines[place] = "\t".join(cells)
        lines = lines or [""]
    return "\n".join(lines)


def spoil_labels(labels: list[str], random: Random) -> list[str]:
    """Drops, swaps, changes or replaces some labels of spans."""
    labels = labels.copy()
    for _ in range(random.choice([1, 1, 2, 5])):
        place = random.randrange(len(labels))
        label = labels[place]
        changed = [label.lower(), label.upper(), label.replace("-", "_"), f"{label} ", f" {label}", label[:2]]
        others = ["O", "0", "o", "_", "B", "I-", "-a", "E-a", "U-b", random.choice(labels)]
        odd = [text for text in ODD_TEXTS if text and "\t" not in text]
        labels[place] = random.choice([*changed, *others, random.choice(odd)]) or "O"
    return labels


TREE_WORDS = ["The", "dogs", "sleep", "who", "ran", "."]


def random_trees(random: Random) -> str:
    """Sentences with any heads: trees, cycles, no root or several ones, ids that restart or count from 0, odd cells."""
    text = ""
    for _ in range(random.choice([1, 2, 5])):
        words = random.choices(TREE_WORDS, k=random.choice([1, 2, 3, 6, 30]))
        first = random.choice([1, 1, 1, 1, 1, 1, 0, 5])
        ids = [str(first + place) for place in range(len(words))]
        if random.random() < 0.1:
            ids[random.randrange(len(ids))] = random.choice([*ids, "1", "0", "07", "x"])
        # A chain is a tree; with some of its heads changed it may be anything.
        heads = ["0", *ids[:-1]]
        for place in range(len(heads)):
            if random.random() < random.choice([0, 0.1, 1]):
                heads[place] = random.choice([*ids, "0"])
        if random.random() < 0.1:
            heads[random.randrange(len(heads))] = random.choice(["_", "", "99", "-1", "1.5"])
        relations = [random.choice(["root", "det", "obj", "dep"]) for _ in heads]
        rows = zip(ids, words, heads, relations, strict=True)
        text += "".join(
            f"{number}\t{word}\t_\tX\tX\t_\t{head}\t{relation}\tO\t_\n"
            for number, word, head, relation in rows
        )
        # Without a blank line the next sentence's ids restart in this one.
        text += "" if random.random() < 0.05 else "\n"
    return text


def spoil_folder(folder: Path, names: Sequence[str], random: Random) -> None:
    """Puts a link, a pipe, an absurd number or a step that makes texts longer into a model folder."""
    path = folder / random.choice(names)
    match random.randrange(4):
        case 0:
            kept = folder.parent / "kept"
            path.rename(kept)
            path.symlink_to(random.choice([kept, path.name, "/dev/zero", "..", "none", "/proc/self/environ"]))
        case 1:
            path.unlink()
            os.mkfifo(path)
        case 2:
            path = folder / random.choice(["encoder/config.json", "encoder/tokenizer_config.json"])
            document = json.loads(path.read_text(encoding="utf-8"))
            keys = [key for key, value in document.items() if isinstance(value, int)]
            odd_keys = ["num_labels", "extra_ids", "num_experts", "num_return_sequences", "model_max_length"]
            document[random.choice([*keys, *odd_keys])] = 10 ** random.randrange(3, 12)
            if random.random() < 0.3:
                document["tokenizer_class"] = random.choice(["T5Tokenizer", "ByT5Tokenizer", "CanineTokenizer"])
            path.write_text(json.dumps(document), encoding="utf-8")
        case _:
            path = folder / "encoder" / "tokenizer.json"
            document = json.loads(path.read_text(encoding="utf-8"))
            part, inner, step = random.choice(GROWING)
            init_model = [document[part]] if document[part] else []
            steps = [*init_model, *[step] * random.choice([1, 2, 10, 40])]
            document[part] = {"type": "Sequence", inner: steps}
            path.write_text(json.dumps(document), encoding="utf-8")


_TWICE = [{"Sequence": {"id": "A", "type_id": 0}}] * 2
# Parts of a tokenizer with steps that make texts longer.
GROWING: list[tuple[str, str, Any]] = [
    ("normalizer", "normalizers", {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}),
    ("normalizer", "normalizers", {"type": "Replace", "pattern": {"Regex": "x*"}, "content": "xy"}),
    ("normalizer", "normalizers", {"type": "Prepend", "prepend": "x" * 100}),
    ("normalizer", "normalizers", {"type": "NFKD"}),
    ("pre_tokenizer", "pretokenizers", {
        "type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False}),
    ("post_processor", "processors", {
        "type": "TemplateProcessing", "single": _TWICE, "pair": [*_TWICE, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {}}),
]  # fmt: skip


def files_below(folder: Path, written: Sequence[str]) -> set[str]:
    """The files of a folder but those in a run's folder and outputs."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not set(path.relative_to(folder).parts) & set(written)
    }


def run(
    command: Callable[[Sequence[str]], int], arguments: Sequence[str], folder: Path
) -> tuple[int, list[str]]:
    """Runs a command in a folder; it ends with an exit code and plain lines, and writes nowhere else."""
    good = {path.name for path in folder.iterdir()}
    outputs = {name for name in arguments if command is cli.predict and name not in good}
    written = ["run", "logs", "out", "out.eval", *outputs, *(f"{name}.eval" for name in outputs)]
    before = files_below(folder, written)
    reported, output = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(reported), contextlib.redirect_stdout(output), contextlib.chdir(folder):
        try:
            code = command(arguments)
        except SystemExit as error:
            # Of --help.
            code = int(error.code or 0)
    assert code in (0, 1, 2, 130)
    assert files_below(folder, written) == before, arguments
    lines = [line for line in reported.getvalue().splitlines() if not LOG_LINE.match(line)]
    if code:
        assert 1 <= len(lines) <= MOST_LINES, lines
    assert "Traceback" not in reported.getvalue()
    assert not [line for line in lines if not line.isprintable()], lines
    return code, lines


def predict(*arguments: str, folder: Path) -> tuple[int, list[str]]:
    """Runs predict on the CPU."""
    return run(cli.predict, [*arguments, "--device", "-1"], folder)


def train(*arguments: str, folder: Path) -> tuple[int, list[str]]:
    """Runs train on the CPU."""
    return run(cli.train, [*arguments, "--device", "-1"], folder)


TREEBANK = """\
# text = The dogs don't sleep.
# mood = statement
# degree = 2.5
1\tThe\tthe\tDET\tDT\tDefinite=Def\t2\tdet\tB-animal\t_
2\tdogs\tdog\tNOUN\tNNS\tNumber=Plur\t5\tnsubj\tI-animal\t_
3-4\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
3\tdo\tdo\tAUX\tVBP\t_\t5\taux\tO\t_
4\tn't\tnot\tPART\tRB\t_\t5\tadvmod\tO\t_
5\tsleep\tsleep\tVERB\tVB\t_\t0\troot\tB-state\tSpaceAfter=No
6\t.\t.\tPUNCT\t.\t_\t5\tpunct\tO\t_

# text = Who ran?
# mood = question
# degree = -1
1\tWho\twho\tPRON\tWP\t_\t2\tnsubj\tO\t_
2\tran\trun\tVERB\tVBD\tMood=Ind|Tense=Past\t0\troot\tB-motion\t_
2.1\tran\trun\tVERB\tVBD\t_\t_\t_\t2:conj\t_
3\t?\t?\tPUNCT\t.\t_\t2\tpunct\tO\t_

# mood = order
1\tRun\trun\tVERB\tVB\t_\t0\troot\tB-motion\t_

"""
PAIRS = "a dog sleeps\tthe dog rests\tyes\t4.5\nbooks fell\ta cat ran\tno\t0\nhe left\the stayed\tno\t-1.25\n"
PLAIN = "the dogs sleep near the river .\nwho ran ?\n\nbooks fell and he left .\n"
DATASETS: dict[str, dict[str, Any]] = {
    "UD": {
        "train_data_path": "ud",
        "dev_data_path": "ud",
        "word_idx": 1,
        "tasks": {
            "upos": {"task_type": "seq", "column_idx": 3, "layers_to_use": [-1, 1]},
            "lemma": {"task_type": "string2string", "column_idx": 2, "loss_weight": 0.5},
            "feats": {"task_type": "multiseq", "column_idx": 5},
            "names": {"task_type": "seq_bio", "column_idx": 8, "class_weights": "balanced"},
            "tree": {
                "task_type": "dependency",
                "column_idx": 6,
                "arc_representation_dim": 8,
                "tag_representation_dim": 8,
            },
            "mood": {"task_type": "classification", "column_idx": -1},
            "degree": {"task_type": "regression", "column_idx": -1},
            "words": {"task_type": "tok"},
        },
    },
    "PAIRS": {
        "train_data_path": "pairs",
        "dev_data_path": "pairs",
        "sent_idxs": [0, 1],
        "tasks": {
            "same": {"task_type": "classification", "column_idx": 2, "topn": 2},
            "score": {"task_type": "regression", "column_idx": 3},
        },
    },
    "TEXT": {"train_data_path": "text", "tasks": {"mlm": {"task_type": "mlm"}}},
}
FILES = {"ud": TREEBANK, "pairs": PAIRS, "text": PLAIN}


def params_for(encoder: str) -> dict[str, Any]:
    """Params for one short epoch."""
    return {
        "transformer_model": encoder,
        "encoder": {"dropout": 0.0, "max_input_length": 40},
        "decoders": {"default_decoder": {"dropout": 0.0}, "dependency": {"activation": "linear"}},
        "batching": {"max_tokens": 200, "batch_size": 4},
        "training": {"num_epochs": 1, "optimizer": {"lr": 0.001}},
    }


def write_workplace(folder: Path, encoder: str) -> None:
    """Good data, configs and params."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "c.json").write_text(json.dumps(DATASETS), encoding="utf-8")
    (folder / "p.json").write_text(json.dumps(params_for(encoder)), encoding="utf-8")
