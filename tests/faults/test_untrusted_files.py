"""An untrusted model folder can at worst predict badly: no code is run, and memory and paths are limited."""

import json
import os
import pickle
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import children
import pytest
import torch
from fuzzing import PAIRS, predict, train, write_workplace
from safetensors.torch import load_file, save_file

from machamp_lite.cli import main as cli
from machamp_lite.errors import ConfigError
from machamp_lite.model.serialization import load_model

PACKAGE = Path(__file__).resolve().parents[2] / "machamp_lite"
HUGE = 10**12


@pytest.fixture
def folder(many_tasks: Path, tmp_path: Path) -> Path:
    """A copy of a model folder, beside data."""
    shutil.copytree(many_tasks / "run" / "model", tmp_path / "m")
    shutil.copy(many_tasks / "ud", tmp_path / "ud")
    return tmp_path / "m"


def edit(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def refused(folder: Path) -> str:
    """The one line by which a folder is refused."""
    code, lines = predict("m", "ud", "out", "--dataset", "UD", folder=folder.parent)
    assert code == 2 and len(lines) == 1, lines
    assert not (folder.parent / "out").exists()
    return lines[0]


def tasks(config: Any) -> Any:
    return config["datasets"]["UD"]["tasks"]


def rename(holder: dict[str, Any], old: str, new: str) -> None:
    holder[new] = holder.pop(old)


ENCODER, TOKENIZER = "encoder/config.json", "encoder/tokenizer_config.json"
# What is edited, how, and a part of the line that reports it.
EDITS: dict[str, tuple[str, Callable[[Any], object], str]] = {
    "an older format": (
        "config.json",
        lambda c: c.update(format=1),
        "older format 1, expected 2; train it again",
    ),
    "a newer format": ("config.json", lambda c: c.update(format=3), "found the format 3, expected 2"),
    "no format": ("config.json", lambda c: c.pop("format"), "found the format None"),
    "a dataset that leaves": ("config.json", lambda c: rename(c["datasets"], "UD", "../UD"), "../UD"),
    "a dataset of a root": ("config.json", lambda c: rename(c["datasets"], "UD", "/tmp/UD"), "/tmp/UD"),
    "a task with a line end": ("config.json", lambda c: rename(tasks(c), "upos", "a\nb"), "a\\nb"),
    "a task without a name": ("config.json", lambda c: rename(tasks(c), "upos", " "), "config.json"),
    "a training file": (
        "config.json",
        lambda c: c["datasets"]["UD"].update(train_data_path="/etc/passwd"),
        "train_data_path",
    ),
    "a column beyond all": ("config.json", lambda c: tasks(c)["upos"].update(column_idx=10**9), "column_idx"),
    "words in a column beyond all": (
        "config.json",
        lambda c: c["datasets"]["UD"].update(word_idx=10**9),
        "word_idx",
    ),
    "a column for a sentence": ("config.json", lambda c: tasks(c)["mood"].update(column_idx=3), "column_idx"),
    "a wide parser": (
        "config.json",
        lambda c: tasks(c)["tree"].update(arc_representation_dim=10**9),
        "config.json",
    ),
    "a wide adapter": (
        "config.json",
        lambda c: c["params"]["encoder"].update(
            lora={"rank": 10**9, "alpha": 1, "dropout": 0, "target_modules": None}
        ),
        "rank",
    ),
    "wide data set vectors": (
        "config.json",
        lambda c: c["params"]["encoder"].update(dataset_embeds_dim=HUGE),
        "dataset_embeds_dim",
    ),
    "a label with a line end": (
        "labels.json",
        lambda v: v["upos"]["labels"].__setitem__(0, "a\nb"),
        "labels.json",
    ),
    "a label with a tab": (
        "labels.json",
        lambda v: v["upos"]["labels"].__setitem__(0, "a\tb"),
        "labels.json",
    ),
    "a label that is no text": (
        "labels.json",
        lambda v: v["upos"]["labels"].__setitem__(0, "\ud800"),
        "labels.json",
    ),
    "a number that is none": (
        "labels.json",
        lambda v: v["degree"]["labels"].__setitem__(0, "x"),
        "labels.json",
    ),
    "a weight that is no number": (
        "labels.json",
        lambda v: v["names"]["weights"].__setitem__(0, float("nan")),
        "labels.json",
    ),
    "an infinite weight": (
        "labels.json",
        lambda v: v["names"]["weights"].__setitem__(0, float("inf")),
        "labels.json",
    ),
    "a place that is none": (
        "labels.json",
        lambda v: v["words"]["labels"].__setitem__(0, "x"),
        "labels.json",
    ),
    "absurd counts": ("labels.json", lambda v: v["degree"].update(counts=[10**18] * 3), "labels.json"),
    "negative counts": ("labels.json", lambda v: v["degree"].update(counts=[-1] * 3), "labels.json"),
    "a million labels": (
        "labels.json",
        lambda v: v["upos"].update(labels=[str(n) for n in range(10**6)], counts=[1] * 10**6),
        "model.safetensors",
    ),
    "labels of no task": ("labels.json", lambda v: v.update(other=v["upos"]), "other"),
    "a huge hidden size": (ENCODER, lambda c: c.update(hidden_size=10**9), "model.safetensors"),
    "a huger hidden size": (ENCODER, lambda c: c.update(hidden_size=HUGE), "encoder/config.json"),
    "a huge vocabulary": (ENCODER, lambda c: c.update(vocab_size=HUGE), "encoder/config.json"),
    "a large vocabulary": (ENCODER, lambda c: c.update(vocab_size=10**9), "model.safetensors"),
    "a million layers": (ENCODER, lambda c: c.update(num_hidden_layers=10**6), "encoder/config.json"),
    "a wide middle": (ENCODER, lambda c: c.update(intermediate_size=10**9), "model.safetensors"),
    "many positions": (ENCODER, lambda c: c.update(max_position_embeddings=10**8), "model.safetensors"),
    "one layer more": (ENCODER, lambda c: c.update(num_hidden_layers=3), "model.safetensors"),
    "one layer less": (ENCODER, lambda c: c.update(num_hidden_layers=1), "m/"),
    "another kind of encoder": (ENCODER, lambda c: c.update(model_type="t5"), "m"),
    "an unknown kind of encoder": (ENCODER, lambda c: c.update(model_type="own"), "encoder"),
    "code for the encoder": (ENCODER, lambda c: c.update(auto_map={"AutoConfig": "code.A"}), "auto_map"),
    "a kernel from elsewhere": (
        ENCODER,
        lambda c: c.update(attn_implementation="x/y"),
        "attn_implementation",
    ),
    "a part from elsewhere": (ENCODER, lambda c: c.update(backbone="x/y"), "backbone"),
    "code for the tokenizer": (
        TOKENIZER,
        lambda c: c.update(auto_map={"AutoTokenizer": ["code.A", None]}),
        "auto_map",
    ),
    "a tokenizer that is a model": (
        TOKENIZER,
        lambda c: c.update(tokenizer_class="AutoModel"),
        "tokenizer_class",
    ),
    "a vocabulary elsewhere": (TOKENIZER, lambda c: c.update(vocab_file="/etc/passwd"), "vocab_file"),
}


@pytest.mark.parametrize(("name", "change", "reported"), EDITS.values(), ids=EDITS)
def test_an_edited_folder_is_refused_in_one_line(
    folder: Path, name: str, change: Callable[[Any], object], reported: str
) -> None:
    edit(folder / name, change)
    line = refused(folder)
    assert reported in line
    assert line.startswith("m/") or "m/" in line


@pytest.mark.slow
def test_absurd_sizes_take_no_memory(many_tasks: Path, tmp_path: Path) -> None:
    """Under a limit of the process's memory, each is refused by a check and not by want of memory."""
    script = """
import json, resource, sys, shutil
from pathlib import Path
from machamp_lite.errors import ConfigError
from machamp_lite.model.serialization import load_model
load_model("good")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for key, value in json.loads(sys.argv[1]):
    shutil.copytree("good", "m", dirs_exist_ok=True)
    config = json.loads(Path("m/encoder/config.json").read_text())
    config[key] = value
    Path("m/encoder/config.json").write_text(json.dumps(config))
    try:
        load_model("m")
    except ConfigError as error:
        assert "m/" in str(error), error
        assert "allocate" not in str(error), error
    else:
        raise SystemExit(f"{key} {value} was loaded")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    shutil.copytree(many_tasks / "run" / "model", tmp_path / "good")
    keys = ("hidden_size", "vocab_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings")
    sizes = [(key, value) for key in keys for value in (10**5, 10**7, 10**9, 10**12)]
    command = [sys.executable, "-c", script, json.dumps(sizes)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100_000, "kilobytes"


def test_code_in_a_model_folder_is_not_run(folder: Path) -> None:
    trace = folder.parent / "was_run"
    code = f"open({str(trace)!r}, 'w').close()\n"
    for name in ("code.py", "modeling_own.py", "tokenization_own.py"):
        (folder / "encoder" / name).write_text(code)
    edit(
        folder / ENCODER, lambda config: config.update(auto_map={"AutoModel": "code.Model"}, model_type="own")
    )
    edit(folder / TOKENIZER, lambda config: config.update(auto_map={"AutoTokenizer": ["code.A", "code.B"]}))
    refused(folder)
    assert not trace.exists()


def test_code_of_a_pretrained_encoder_is_neither_run_nor_saved(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "was_run"
    source = tmp_path / "encoder_with_code"
    shutil.copytree(encoder, source)
    (source / "code.py").write_text(f"open({str(trace)!r}, 'w').close()\n")
    auto_map = {"AutoConfig": "code.A", "AutoModel": "code.B", "AutoModelForMaskedLM": "code.C"}
    edit(source / "config.json", lambda config: config.update(auto_map=auto_map))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether to run code"))
    write_workplace(tmp_path, str(source))
    flags = ["--dataset_configs", "c.json", "--parameters_config", "p.json", "--model_dir", "run"]
    assert train(*flags, folder=tmp_path)[0] == 0
    edit(
        source / "tokenizer_config.json",
        lambda config: config.update(auto_map={"AutoTokenizer": ["code.D", None]}),
    )
    code, lines = train(*flags, "--overwrite", folder=tmp_path)
    assert code in (0, 2) and len(lines) <= 1
    assert not trace.exists()
    assert "auto_map" not in (tmp_path / "run" / "model" / "encoder" / "config.json").read_text()
    assert predict("run", "ud", "out", "--dataset", "UD", folder=tmp_path)[0] == 0


@pytest.mark.parametrize("name", ["pytorch_model.bin", "code.py", "x.pkl", "x.so"])
def test_files_that_are_no_data_are_refused(folder: Path, name: str) -> None:
    (folder / "encoder" / name).write_bytes(pickle.dumps({}))
    assert f"m/encoder/{name}: " in refused(folder)


def test_an_encoder_of_pickled_weights_is_refused(encoder: str, tmp_path: Path) -> None:
    source = tmp_path / "pickled"
    shutil.copytree(encoder, source)
    torch.save(load_file(source / "model.safetensors"), source / "pytorch_model.bin")
    (source / "model.safetensors").unlink()
    write_workplace(tmp_path, str(source))
    flags = ["--dataset_configs", "c.json", "--parameters_config", "p.json", "--model_dir", "run"]
    code, (line,) = train(*flags, folder=tmp_path)
    assert code == 2 and "safetensors" in line


def header_of(path: Path) -> tuple[dict[str, Any], bytes]:
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def write_header(path: Path, header: dict[str, Any], body: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def test_a_header_that_describes_more_than_the_file_contains_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    header, body = header_of(path)
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"] = [10**6, 10**6]
    write_header(path, header, body)
    assert "m/model.safetensors: " in refused(folder)
    start = header[name]["data_offsets"][0]
    header[name]["data_offsets"] = [start, start + 4 * 10**12]
    write_header(path, header, body)
    assert "m/model.safetensors: " in refused(folder)
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    assert "m/model.safetensors: " in refused(folder)


def test_weights_of_another_type_or_name_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name].double()}, path)
    assert f"'{name}' of the type F64" in refused(folder)
    save_file({**tensors, "more": torch.zeros(1)}, path)
    assert "found a tensor 'more'" in refused(folder)
    del tensors[name]
    save_file(tensors, path)
    assert f"has no tensor '{name}'" in refused(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_finite_numbers_are_refused(folder: Path, value: float) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name in (next(iter(tensors)), list(tensors)[-1]):
        spoilt = tensors[name].clone()
        spoilt.view(-1)[-1] = value
        save_file({**tensors, name: spoilt}, path)
        line = refused(folder)
        assert line.startswith("m/model.safetensors: '") and "NaN or infinite" in line


@pytest.mark.parametrize("value", [10.0, 1e30])
def test_absurd_weights_only_predict_badly(folder: Path, value: float) -> None:
    path = folder / "model.safetensors"
    tensors = {name: torch.full_like(tensor, value) for name, tensor in load_file(path).items()}
    save_file(tensors, path)
    code, lines = predict("m", "ud", "out", "--dataset", "UD", folder=folder.parent)
    if value == 1e30:
        assert code == 1 and "are NaN" in lines[0], lines
        return
    assert code == 0, lines
    source, target = (folder.parent / name for name in ("ud", "out"))
    kept, words = (
        [line.split("\t")[:2] for line in path.read_text().splitlines() if "\t" in line]
        for path in (target, source)
    )
    assert kept == words


@pytest.mark.parametrize("name", ["config.json", "labels.json", "model.safetensors", "encoder/config.json",
                                  "encoder/tokenizer.json"])  # fmt: skip
def test_files_of_another_model_are_refused(
    folder: Path, encoders: dict[str, str], tmp_path: Path, name: str
) -> None:
    (tmp_path / "other").mkdir()
    write_workplace(tmp_path / "other", encoders["bpe"])
    for key in ("UD", "TEXT"):
        edit(tmp_path / "other" / "c.json", lambda config, key=key: config.pop(key))
    flags = ["--dataset_configs", "c.json", "--parameters_config", "p.json", "--model_dir", "run"]
    assert train(*flags, folder=tmp_path / "other")[0] == 0
    shutil.copy(tmp_path / "other" / "run" / "model" / name, folder / name)
    assert "m/" in refused(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "labels.json", "encoder/config.json", "encoder/tokenizer.json"]
)
@pytest.mark.parametrize("content", [b"[" * 10**5, b"\xff", b"", b"[]", b"1" * 5000, b'{"a": 1e999}'])
def test_json_that_is_none_is_refused(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    assert "m/" in refused(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "encoder/config.json", "encoder/tokenizer.json"]
)
def test_a_pipe_in_a_folder_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert f"m/{name}: " in refused(folder)


LINKED = ["config.json", "labels.json", "model.safetensors", "encoder", "encoder/config.json", "encoder/tokenizer.json"]


@pytest.mark.parametrize("name", LINKED)
def test_a_link_that_leads_out_of_a_model_folder_is_refused(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / "elsewhere")
    for target in (folder.parent / "elsewhere", Path("../" * name.count("/"), "../elsewhere")):
        (folder / name).symlink_to(target)
        assert "is a link that leads out of the model folder" in refused(folder)
        (folder / name).unlink()


def test_a_link_within_a_model_folder_is_followed(folder: Path) -> None:
    (folder / "encoder" / "config.json").rename(folder / "kept.json")
    (folder / "encoder" / "config.json").symlink_to("../kept.json")
    (folder.parent / "link").symlink_to("m")
    for name in ("m", "link"):
        assert predict(name, "ud", "out", "--dataset", "UD", folder=folder.parent)[0] == 0


def template(*names: str) -> dict[str, Any]:
    segments = [{"Sequence": {"id": name, "type_id": 0}} for name in names]
    pair = [*segments, {"Sequence": {"id": "B", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": segments, "pair": pair, "special_tokens": {}}


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
NFKD = {"type": "NFKD"}
# Steps that make texts longer, each a few bytes in a tokenizer.json; some only those of certain words.
CHAINS: dict[str, tuple[str, str, Any, int]] = {
    "letters doubled": ("normalizer", "normalizers", replace({"String": "a"}, "aa"), 40),
    "a rare letter doubled": ("normalizer", "normalizers", replace({"String": "ᚠ"}, "ᚠᚠ"), 40),
    "what an expression fits": ("normalizer", "normalizers", replace({"Regex": "."}, "xxxx"), 20),
    "the empty text": ("normalizer", "normalizers", replace({"Regex": "q*"}, "qqqq"), 20),
    "one long content": ("normalizer", "normalizers", replace({"String": "ᚠ"}, "x" * 10**6), 1),
    "a long beginning": ("normalizer", "normalizers", {"type": "Prepend", "prepend": "x" * 10**6}, 1),
    "compatible forms": ("normalizer", "normalizers", {"type": "Sequence", "normalizers": [
        replace({"String": " "}, "\ufdfa"), NFKD]}, 20),
    "bytes of bytes": ("pre_tokenizer", "pretokenizers", BYTES, 40),
    "copies of a text": ("post_processor", "processors", template("A", "A"), 40),
    "written copies": ("decoder", "decoders", replace({"String": "a"}, "aa"), 40),
}  # fmt: skip


def take_tokenizer_as_it_is(folder: Path) -> None:
    """Has transformers load all of tokenizer.json: of a BertTokenizer it takes the vocabulary alone."""
    config = folder / "encoder" / "tokenizer_config.json"
    names = ["input_ids", "token_type_ids", "attention_mask"]
    loaded_whole = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": names}
    edit(config, lambda document: document.update(loaded_whole))


def kilobytes(name: str) -> int:
    """What the system says of the memory of this process."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def in_little_memory(folder: Path) -> tuple[int | None, list[str]]:
    """Predicts in a child that may take a gigabyte more than this process, so that a fault takes down nothing else.

    The process that loads the model itself may take much less.
    """
    log = folder.parent / "log"

    def work() -> int:
        limit = kilobytes("VmData") * 1024 + 2**30
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
        os.chdir(folder.parent)
        before = kilobytes("VmRSS")
        code = cli.predict(["m", "ud", "out", "--dataset", "UD", "--device", "-1"])
        assert kilobytes("VmHWM") - before < 300_000
        return code

    child = children.start(work, log)
    code = children.wait_for(child, seconds=120)
    if code is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    lines = children.plain_lines(log.read_text())
    log.unlink()
    return code, lines


@pytest.mark.parametrize(("part", "inner", "step", "times"), CHAINS.values(), ids=CHAINS)
def test_a_tokenizer_that_makes_texts_many_times_longer_is_refused(
    folder: Path, part: str, inner: str, step: Any, times: int
) -> None:
    def change(tokenizer: Any) -> None:
        init_model = [tokenizer[part]] if tokenizer[part] else []
        tokenizer[part] = {"type": "Sequence", inner: [*init_model, *[step] * times]}

    edit(folder / "encoder" / "tokenizer.json", change)
    take_tokenizer_as_it_is(folder)
    (folder.parent / "ud").write_text("1\tᚠa\t_\t_\t_\t_\t_\t_\t_\t_\n\n")
    code, lines = in_little_memory(folder)
    assert code == 2 and len(lines) == 1, (code, lines)
    assert lines[0].startswith("m") and ("times longer" in lines[0] or "MB of memory" in lines[0])


# Numbers of a few bytes that stand for memory, and some that stand for nothing.
BOMBS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "a billion labels": (ENCODER, lambda c: c.update(num_labels=10**9)),
    "many extra ids": (TOKENIZER, lambda c: c.update(tokenizer_class="ByT5Tokenizer", extra_ids=3 * 10**7)),
    "many extra ids of T5": (TOKENIZER, lambda c: c.update(tokenizer_class="T5Tokenizer", extra_ids=3 * 10**7)),
    "many experts of another kind": (
        ENCODER,
        lambda c: c.update(model_type="mixtral", num_local_experts=10**8, num_labels=10**8),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "change"), BOMBS.values(), ids=BOMBS)
def test_few_bytes_that_ask_for_much_memory_are_refused(
    folder: Path, name: str, change: Callable[[Any], object]
) -> None:
    edit(folder / name, change)
    code, lines = in_little_memory(folder)
    assert code == 2 and len(lines) == 1 and lines[0].startswith("m"), (code, lines)


def test_an_encoder_that_asks_for_much_memory_is_refused_before_training(encoder: str, tmp_path: Path) -> None:
    source = tmp_path / "e"
    shutil.copytree(encoder, source)
    edit(source / "config.json", lambda config: config.update(num_labels=10**9))
    write_workplace(tmp_path, "e")
    flags = ["--dataset_configs", "c.json", "--parameters_config", "p.json", "--check", "--device", "-1"]

    def work() -> int:
        resource.setrlimit(resource.RLIMIT_DATA, (2**31, resource.RLIM_INFINITY))
        os.chdir(tmp_path)
        return cli.train(flags)

    child = children.start(work, tmp_path / "log")
    assert children.wait_for(child, seconds=120) == 2
    (line,) = children.plain_lines((tmp_path / "log").read_text())
    assert line.startswith("e: takes more than") and "memory" in line


def test_a_folder_that_takes_forever_to_load_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_: Any, **__: Any) -> None:
        while True:
            pass

    monkeypatch.setattr("machamp_lite.model.sandbox.MAX_SECONDS", 1)
    monkeypatch.setattr("machamp_lite.model.serialization.read_labels", endless)
    assert refused(folder) == "m: takes more than 1 seconds to load, expected files of a model"


def test_nothing_in_the_package_reads_what_could_be_code() -> None:
    pattern = re.compile(
        r"\b(pickle|marshal|shelve|dill|joblib)\b|torch\.(load|save)\b|\beval\(|\bexec\(|__import__"
    )
    for path in PACKAGE.rglob("*.py"):
        source = re.sub(r"\.eval\(", "", path.read_text(encoding="utf-8"))
        assert not pattern.search(source), path


def test_nothing_is_pickled_when_a_run_is_saved_loaded_and_resumed(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("pickled")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, forbidden)
    for name in ("load", "save"):
        monkeypatch.setattr(torch, name, forbidden)
    write_workplace(tmp_path, encoder)
    configs = ["--dataset_configs", "c.json", "--parameters_config", "p.json"]
    assert train(*configs, "--model_dir", "run", folder=tmp_path)[0] == 0
    assert predict("run", "ud", "out", "--dataset", "UD", folder=tmp_path)[0] == 0
    assert train(*configs, "--retrain", "run", "--model_dir", "run/again", folder=tmp_path)[0] == 0
    saved = monkeypatch.context
    with saved() as stopping:
        stopping.setattr(
            "machamp_lite.training.run.predict_dev", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())
        )
        assert train(*configs, "--model_dir", "run/stopped", folder=tmp_path)[0] == 130
    code, lines = train("--resume", "run/stopped", folder=tmp_path)
    assert code == 0, lines
    assert load_model(tmp_path / "run" / "stopped").config.datasets


def test_an_encoder_that_fails_on_an_input_is_one_line(folder: Path) -> None:
    # The tokenizer says that there are three kinds of pieces, and the encoder has two.
    def add_types(tokenizer: Any) -> None:
        for part in tokenizer["post_processor"]["pair"]:
            next(iter(part.values()))["type_id"] = 2

    edit(folder / "encoder" / "tokenizer.json", add_types)
    take_tokenizer_as_it_is(folder)
    (folder.parent / "pairs").write_text(PAIRS, encoding="utf-8")
    code, (line,) = predict("m", "pairs", "out", "--dataset", "PAIRS", folder=folder.parent)
    assert code == 1
    assert re.match(r"pairs:\d: the model cannot score its input \(its encoder raised IndexError: ", line)


def test_scores_that_are_no_numbers_are_no_labels(folder: Path) -> None:
    edit(folder / "encoder" / "config.json", lambda config: config.update(layer_norm_eps=float("nan")))
    code, (line,) = predict("m", "ud", "out", "--dataset", "UD", folder=folder.parent)
    assert code == 1 and "are NaN); its weights or its config are damaged" in line, line
    assert not (folder.parent / "out").exists()


def test_a_file_of_weights_without_tensors_is_refused(folder: Path) -> None:
    save_file({}, folder / "model.safetensors")
    with pytest.raises(ConfigError, match=r"model\.safetensors"):
        load_model(folder)
