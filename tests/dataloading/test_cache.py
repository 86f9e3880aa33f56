"""Data that was read comes back from the cache only if nothing that it depends on has changed."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import children
import pytest
from safetensors.numpy import save_file

from machamp_lite.cli import main as cli
from machamp_lite.dataloading import cache as data_cache
from machamp_lite.dataloading import datasets as run_data
from machamp_lite.training.run import read_data


@pytest.fixture
def flags(
    write_config: Callable[..., str], dataset: dict[str, Any], pair_dataset: dict[str, Any], tiny_params: str
) -> list[str]:
    config = write_config(WORDS=dataset, PAIRS=pair_dataset)
    return ["--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1"]


@pytest.fixture
def checked(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """Checks the data with a cache; returns what is in it, and what the log says of where it is from."""

    def checked(*more: str, cache: Path = tmp_path / "cache") -> tuple[str, str]:
        assert cli.train([*flags, *more, "--check", "--data_cache", str(cache)]) == 0
        output = capsys.readouterr()
        lines = [line for line in output.err.splitlines() if "data" in line and "the dev file" not in line]
        return output.out, "\n".join(lines)

    return checked


def entry(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "cache").iterdir()
    return path


def test_the_second_start_reads_nothing(
    checked: Callable[..., tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, reported = checked()
    assert "data: read in " in reported and f"cached in {entry(tmp_path)}" in reported
    monkeypatch.setattr(run_data, "DatasetReader", None)
    second, reported = checked()
    assert second == first
    assert f"data: from the cache {entry(tmp_path)} in " in reported


def other_data(treebank: Path, *_: Any) -> list[str]:
    treebank.write_text(treebank.read_text().replace("NOUN", "NOUM", 1))
    return []


def other_option(*_: Any) -> list[str]:
    return ["--set", "WORDS.tasks.upos.column_idx=4"]


def other_mark(*_: Any) -> list[str]:
    return ["--set", 'WORDS.tasks.upos.ignore_label="DET"']


def other_length(*_: Any) -> list[str]:
    return ["--set", "encoder.max_input_length=8"]


def other_weights(*_: Any) -> list[str]:
    # The numbers of words as weights.
    return ["--set", "WORDS.tasks.upos.weight_column=0"]


def other_tokenizer(_: Path, encoders: dict[str, str], __: pytest.MonkeyPatch) -> list[str]:
    return ["--set", f"transformer_model={encoders['bpe']}"]


def other_word_boundary(treebank: Path, encoders: dict[str, str], _: pytest.MonkeyPatch) -> list[str]:
    """The same tokenizer, which gets words with a space before each."""
    folder = shutil.copytree(encoders["wordpiece"], treebank.parent / "encoder")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"word_boundary": "leading_space"}))
    return ["--set", f"transformer_model={folder}"]


def other_program(_: Path, __: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(data_cache, "_program_state", lambda: ["another version"])
    return []


@pytest.mark.parametrize(
    "change",
    [
        other_data,
        other_option,
        other_mark,
        other_weights,
        other_length,
        other_tokenizer,
        other_word_boundary,
        other_program,
    ],
)
def test_what_depends_on_a_change_is_read_again(
    checked: Callable[..., tuple[str, str]],
    change: Callable[..., list[str]],
    treebank: Path,
    encoders: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    checked()
    assert "data: read in " in checked(*change(treebank, encoders, monkeypatch))[1]
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize(
    "override",
    [
        "training.num_epochs=7",
        "WORDS.tasks.upos.loss_weight=0.5",
        "WORDS.oversample=upos",
        "WORDS.sampling_weight=2",
    ],
)
def test_what_does_not_depend_on_a_change_is_not(
    checked: Callable[..., tuple[str, str]], override: str
) -> None:
    checked()
    assert "data: from the cache" in checked("--set", override)[1]


def test_sources_name_the_present_files(
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    tiny_params: str,
    treebank: Path,
    tmp_path: Path,
) -> None:
    from machamp_lite.config import load_config

    moved = tmp_path / "moved.conllu"
    shutil.copy(treebank, moved)
    for path in (treebank, moved):
        config = load_config(
            [write_config(D={**dataset, "train_data_path": str(path)})], parameters_config=tiny_params
        )
        data = read_data(config, cache=tmp_path / "cache")
        assert data.train["D"][0].source == f"{path}:1" and data.dev["D"][0].source == f"{treebank}:1"
    entry(tmp_path)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def flipped_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"U8")] ^= 1
    path.write_bytes(content)


def foreign(path: Path) -> None:
    path.write_bytes(b"no safetensors at all")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_tensors(path: Path) -> None:
    import numpy as np

    save_file({"x": np.zeros(3)}, path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [truncated, flipped, flipped_header, foreign, empty, other_tensors])
def test_what_is_damaged_is_read_again_and_mended(
    checked: Callable[..., tuple[str, str]], tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    first, _ = checked()
    spoil(entry(tmp_path))
    again, reported = checked()
    assert again == first
    assert reported.count("this data cache cannot be used") == 1 and "data: read in " in reported
    assert "data: from the cache" in checked()[1]


def test_every_flipped_byte_is_found(
    checked: Callable[..., tuple[str, str]], tmp_path: Path, flags: list[str]
) -> None:
    from machamp_lite.config import load_config
    from machamp_lite.model.pretrained import load_tokenizer

    checked()
    config = load_config([flags[1]], parameters_config=flags[3])
    tokenizer = load_tokenizer(config.params.transformer_model)
    cache = data_cache.DataCache(tmp_path / "cache", config=config, tokenizer=tokenizer)
    content = cache.path.read_bytes()
    assert cache.load() is not None
    for place in range(0, len(content), 97):
        cache.path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        assert cache.load() is None, place


@pytest.mark.parametrize("spoil", [a_folder, None])
def test_a_cache_that_cannot_be_written_is_a_warning(
    checked: Callable[..., tuple[str, str]], tmp_path: Path, spoil: Callable[[Path], None] | None
) -> None:
    cache = tmp_path / "cache"
    if spoil is None:
        cache.write_text("a file")
    else:
        checked()
        spoil(entry(tmp_path))
    reported = checked()[1]
    assert f"data cache {cache}: cannot be written (" in reported and "data: read in " in reported


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_a_warning(
    checked: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    assert "cannot be written (Permission denied)" in checked()[1]


def test_data_with_faults_is_not_cached(flags: list[str], treebank: Path, tmp_path: Path) -> None:
    treebank.write_text(treebank.read_text().replace("\t2\tdet", "\t77\tdet"))
    assert cli.train([*flags, "--check", "--data_cache", str(tmp_path / "cache")]) == 2
    assert not (tmp_path / "cache").exists()


def test_entries_that_nobody_used_for_a_month_are_removed(
    checked: Callable[..., tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked()
    old, others = entry(tmp_path), tmp_path / "cache" / "notes.cache"
    others.write_text("not ours")
    month_ago = time.time() - 31 * 24 * 3600
    for path in (old, others):
        os.utime(path, (month_ago, month_ago))
    checked()
    assert old.stat().st_mtime > month_ago + 1, "used"
    os.utime(old, (month_ago, month_ago))
    checked("--set", "encoder.max_input_length=8")
    assert not old.exists() and others.exists()


def test_what_only_looks_like_an_entry_is_not_removed(
    checked: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    import numpy as np

    cache = tmp_path / "cache"
    checked()
    ours = entry(tmp_path)
    names = ["data-mine.cache", f"data-{'0' * 64}.cache", ".data-mine.part", "data-x.cache", "data-.cache"]
    for name in names:
        (cache / name).write_text("mine")
    shutil.copy(ours, cache / "data-.cache")
    shutil.copy(ours, cache / f"data-{'1' * 64}.cache")
    save_file({"x": np.zeros(3)}, cache / "data-others.cache", {"key": "1"})
    (tmp_path / "mine").write_text("mine")
    (cache / "data-linked.cache").symlink_to(tmp_path / "mine")
    month_ago = time.time() - 31 * 24 * 3600
    before = {path.name for path in cache.iterdir()}
    for path in cache.iterdir():
        os.utime(path, (month_ago, month_ago))
    checked("--set", "encoder.max_input_length=8")
    after = {path.name for path in cache.iterdir()}
    assert before - after == {ours.name}


def test_an_entry_that_is_cut_off_while_it_is_used_changes_nothing(
    checked: Callable[..., tuple[str, str]], tmp_path: Path, flags: list[str]
) -> None:
    from machamp_lite.config import load_config

    checked()
    config = load_config([flags[1]], parameters_config=flags[3])
    expected = [
        example.segments.subword_ids.tolist() for example in read_data(config).train["WORDS"]
    ]

    def used() -> int:
        data = read_data(config, cache=tmp_path / "cache", writes=False)
        os.truncate(entry(tmp_path), 0)
        found = [example.segments.subword_ids.tolist() for example in data.train["WORDS"]]
        return 0 if found == expected else 1

    # In a child, for what is read from a mapped file that was cut off kills the process.
    assert children.wait_for(children.start(used, tmp_path / "printed")) == 0


@pytest.mark.parametrize(
    ("choice", "size", "expected"),
    [
        ("off", 2_000_000, None),
        ("auto", 10, None),
        ("auto", 2_000_000, "home/machamp_lite"),
        ("here", 10, "here"),
    ],
)
def test_small_data_is_not_cached_by_itself(
    flags: list[str],
    treebank: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    choice: str,
    size: int,
    expected: str | None,
) -> None:
    from machamp_lite.config import load_config

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    treebank.write_text(treebank.read_text() + "\n" * size)
    choice = str(tmp_path / choice) if choice == "here" else choice
    config = load_config([flags[1]], parameters_config=flags[3])
    assert data_cache.cache_folder(choice, config) == (None if expected is None else tmp_path / expected)


@pytest.mark.parametrize("cached", [True, False])
def test_a_run_that_goes_on_with_the_cache_ends_bit_for_bit_like_one_without(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    from machamp_lite.training import run as runs

    cache = ["--data_cache", str(tmp_path / "cache")] if cached else ["--data_cache", "off"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert cli.train([*flags, "--model_dir", str(whole), "--data_cache", "off"]) == 0
    save_state = runs.save_state

    def stop(*arguments: Any, **options: Any) -> None:
        save_state(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(runs, "save_state", stop)
        assert cli.train([*flags, *cache, "--model_dir", str(broken)]) == 130
    assert cli.train(["--resume", str(broken), "--device", "-1", *cache]) == 0
    for name in ("model/model.safetensors", "model/labels.json", "WORDS.out", "WORDS.out.eval", "PAIRS.out"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()
