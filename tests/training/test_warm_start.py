"""A run that starts from an earlier model: what it keeps, and what gets new weights."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.data.vocabulary import DATASET_IDS
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model
from machamp_lite.training import run as runs
from machamp_lite.training.checkpoint import seed_everything
from machamp_lite.training.warm_start import copy_decoders, describe, reinitialized_tasks


@pytest.fixture
def flags(tiny_params: str) -> list[str]:
    return ["--parameters_config", tiny_params, "--device", "-1", "--set", "encoder.dropout=0.3"]


@pytest.fixture
def init_model(
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    pair_dataset: dict[str, Any],
    tmp_path: Path,
) -> Path:
    """The folder of a run over a treebank and sentence pairs."""
    config = write_config("former.json", WORDS=dataset, PAIRS=pair_dataset)
    folder = tmp_path / "former"
    assert cli.train(["--dataset_configs", config, *flags, "--model_dir", str(folder)]) == 0
    return folder


def started(config: Any, init_model: Path) -> tuple[Model, Model]:
    """The model of a retrained run before its first step, and the earlier model."""
    seed_everything(5)
    old = load_model(init_model)
    data = runs.read_data(config, old)
    model = runs.build_model(config, data, init_model=old)
    copy_decoders(model, old)
    return model, load_model(init_model)


def same_weights(model: Model, init_model: Model, task: str) -> bool:
    pairs = [
        (mine, theirs)
        for name in ("decoders", "mixes")
        for mine, theirs in zip(
            getattr(model, name)[model.tasks.index(task)].parameters(),
            getattr(init_model, name)[init_model.tasks.index(task)].parameters(),
            strict=True,
        )
    ]
    return bool(pairs) and all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_encoder_and_decoders_of_the_same_tasks_are_kept_for_any_order_of_labels(
    init_model: Path,
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    turned: Path,
    encoders: dict[str, str],
    tiny_params: str,
) -> None:
    dataset["train_data_path"] = str(turned)
    # The config names another encoder, but that of the earlier model is used.
    options = [f"transformer_model={encoders['bpe']}"]
    config = load_config([write_config(WORDS=dataset)], parameters_config=tiny_params, overrides=options)
    model, old = started(config, init_model)
    assert reinitialized_tasks(model, old) == {}
    assert runs.read_data(config).vocabularies["upos"].labels != old.vocabularies["upos"].labels
    for task in ("upos", "lemma", "tree", "mood"):
        assert model.vocabularies[task].most_frequent() == old.vocabularies[task].most_frequent()
    mine, theirs = (each.decoder("upos").scores.weight for each in (model, old))
    labels = model.vocabularies["upos"].labels
    assert torch.equal(mine, theirs[[old.vocabularies["upos"].labels.index(label) for label in labels]])
    for mine, theirs in zip(model.encoder.parameters(), old.encoder.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert model.tokenizer.tokenizer.get_vocab() == old.tokenizer.tokenizer.get_vocab()
    assert describe(model, old)[-1] == "not in this run: same"


def test_a_decoder_keeps_the_labels_that_both_models_have(
    init_model: Path,
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(dataset["train_data_path"])
    path.write_text(path.read_text().replace("\tPROPN\t", "\tNOUN\t").replace("\tDET\t", "\tD\t"))
    arguments = ["--dataset_configs", write_config(WORDS=dataset), *flags, "--retrain", str(init_model)]
    capsys.readouterr()
    assert cli.train([*arguments, "--check"]) == 0
    lines = [
        "  task upos: keeps its decoder; labels: 6 kept, 1 new, 2 dropped",
        "  task tree: keeps its decoder",
    ]
    assert set(lines) <= set(capsys.readouterr().out.splitlines())
    assert cli.train([*arguments, "--model_dir", str(tmp_path / "new")]) == 0
    assert all(line in (tmp_path / "new" / "log.txt").read_text() for line in lines)


@pytest.mark.parametrize("former", [["blog", "news"], ["news", "web", "wiki"]])
def test_embeddings_of_dataset_ids_are_kept(
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    treebank: Path,
    tiny_params: str,
    tmp_path: Path,
    former: list[str],
) -> None:
    def write(names: list[str]) -> str:
        for name in names:
            treebank.write_text(treebank.read_text().replace("\t_\n", f"\tdataset_embed={name}\n", 1))
        return write_config(WORDS={**dataset, "dataset_embed_idx": 9})

    text = treebank.read_text()
    arguments = ["--dataset_configs", write(former), *flags, "--model_dir", str(tmp_path / "former")]
    assert cli.train(arguments) == 0
    treebank.write_text(text)
    config = load_config([write(["news", "blog"])], parameters_config=tiny_params)
    model, old = started(config, tmp_path / "former")
    mine, theirs = (each.vocabularies[DATASET_IDS].labels for each in (model, old))
    for name in set(mine) & set(theirs):
        weights = model.dataset_embedding.weight[mine.index(name) + 1]
        assert torch.equal(weights, old.dataset_embedding.weight[theirs.index(name) + 1])


def stop_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends a run like Ctrl-C once the state of an epoch has been written."""
    original = runs.save_state

    def stopping(*positional: Any, state: Any, **options: Any) -> None:
        original(*positional, state=state, **options)
        if state.epoch == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(runs, "save_state", stopping)


def _type(dataset: dict[str, Any]) -> None:
    dataset["tasks"]["upos"] = {"task_type": "multiseq", "column_idx": 3}


def _name(dataset: dict[str, Any]) -> None:
    dataset["tasks"] = {"pos" if task == "upos" else task: o for task, o in dataset["tasks"].items()}


def _labels(dataset: dict[str, Any]) -> None:
    path = Path(dataset["train_data_path"])
    for label in ("DET", "NOUN", "AUX", "PART", "VERB", "PUNCT", "PRON", "PROPN"):
        path.write_text(path.read_text().replace(f"\t{label}\t", f"\t{label.lower()}\t"))


def _layers(dataset: dict[str, Any]) -> None:
    dataset["tasks"]["upos"] = {**dataset["tasks"]["upos"], "layers_to_use": [0, 1]}


def _shape(dataset: dict[str, Any]) -> None:
    dataset["tasks"]["tree"] = {**dataset["tasks"]["tree"], "tag_representation_dim": 4}


FRESH = [
    (_labels, "upos", "it has none of the labels of the initial model"),
    (_type, "upos", "its type has changed from seq to multiseq"),
    (_name, "pos", "the initial model does not have it"),
    (_layers, "upos", "its layers have changed from 0, 1, 2 to 0, 1"),
    (_shape, "tree", "the shape of project.bias has changed"),
]


@pytest.mark.parametrize(("change", "task", "reason"), FRESH)
def test_a_changed_task_gets_a_new_decoder_and_the_reason_is_logged(
    init_model: Path,
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], None],
    task: str,
    reason: str,
) -> None:
    dataset["tasks"] = dict(dataset["tasks"])
    change(dataset)
    config = write_config(WORDS=dataset)
    arguments = ["--dataset_configs", config, *flags, "--retrain", str(init_model)]
    capsys.readouterr()
    assert cli.train([*arguments, "--check"]) == 0
    lines = {
        *(f"  task {name}: keeps its decoder" for name in dataset["tasks"] if name != task),
        f"  task {task}: new decoder: {reason}",
    }
    assert lines <= set(capsys.readouterr().out.splitlines())
    assert cli.train([*arguments, "--model_dir", str(tmp_path / "new")]) == 0
    log = (tmp_path / "new" / "log.txt").read_text()
    assert all(line in log for line in lines)


def test_label_weights_and_counts_come_from_the_new_config_and_data(
    init_model: Path, write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str
) -> None:
    dataset["tasks"] = {"upos": {**dataset["tasks"]["upos"], "class_weights": "balanced"}}
    config = load_config([write_config(WORDS=dataset)], parameters_config=tiny_params)
    model, old = started(config, init_model)
    assert same_weights(model, old, "upos")
    assert model.decoder("upos").label_weights() == pytest.approx(
        runs.build_model(config, runs.read_data(config)).decoder("upos").label_weights()
    )
    assert old.decoder("upos").label_weights() is None


def test_learnt_task_weights_are_reinitialized(
    init_model: Path, flags: list[str], write_config: Callable[..., str], dataset: dict[str, Any], tmp_path: Path
) -> None:
    learnt = ["--set", "training.task_weighting=uncertainty", "--set", "training.optimizer.lr=0.05"]
    config = write_config(WORDS=dataset)
    first = ["--dataset_configs", config, *flags, *learnt, "--model_dir", str(tmp_path / "first")]
    assert cli.train([*first, "--retrain", str(init_model)]) == 0
    assert set(load_model(tmp_path / "first").task_weights.weights().values()) != {1.0}
    loaded = load_config([config], parameters_config=flags[1], overrides=[learnt[1]])
    model, _ = started(loaded, tmp_path / "first")
    assert set(model.task_weights.weights().values()) == {1.0}


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_retrained_run_is_resumed_bit_for_bit_without_the_initial_model(
    init_model: Path,
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    turned: Path,
    encoders: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epoch: int,
) -> None:
    dataset["train_data_path"] = str(turned)
    config = write_config(WORDS=dataset)
    values = ["training.num_epochs=3", f"transformer_model={encoders['bpe']}"]
    sets = [part for value in values for part in ("--set", value)]
    arguments = ["--dataset_configs", config, *flags, *sets, "--retrain", str(init_model)]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert cli.train([*arguments, "--model_dir", str(whole)]) == 0
    with monkeypatch.context() as patch:
        stop_after(epoch, patch)
        assert cli.train([*arguments, "--model_dir", str(broken)]) == 130
    shutil.rmtree(init_model)
    assert cli.train(["--resume", str(broken), "--device", "-1"]) == 0
    names = ["model/model.safetensors", "model/labels.json", "model/config.json", "WORDS.out", "layers.json"]
    for name in [*names, "model/encoder/config.json", "model/encoder/tokenizer.json", "params-config.json"]:
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "task_type"), [("wordpiece", "mlm"), ("t5", "seq2seq")])
def test_a_retrained_language_model_can_be_resumed(
    flags: list[str],
    write_config: Callable[..., str],
    encoders: dict[str, str],
    pairs: Path,
    treebank: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    task_type: str,
) -> None:
    path, columns = {"mlm": (treebank, {"word_idx": 1}), "seq2seq": (pairs, {"sent_idxs": [0]})}[task_type]
    options = {"task_type": task_type} | ({"column_idx": 1} if task_type == "seq2seq" else {})
    dataset = {"train_data_path": str(path), "dev_data_path": str(path), **columns, "tasks": {"it": options}}
    encoder = ["--set", f"transformer_model={encoders[kind]}"]
    arguments = ["--dataset_configs", write_config(A=dataset), *flags, *encoder]
    runs_of = {name: tmp_path / name for name in ("former", "whole", "broken")}
    assert cli.train([*arguments, "--model_dir", str(runs_of["former"])]) == 0
    arguments += ["--retrain", str(runs_of["former"])]
    assert cli.train([*arguments, "--model_dir", str(runs_of["whole"])]) == 0
    assert "task it: keeps its decoder" in (runs_of["whole"] / "log.txt").read_text()
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        assert cli.train([*arguments, "--model_dir", str(runs_of["broken"])]) == 130
    shutil.rmtree(runs_of["former"])
    assert cli.train(["--resume", str(runs_of["broken"]), "--device", "-1"]) == 0
    # Not the bytes: the order of tied weights in the file varies.
    whole, broken = (load_file(runs_of[name] / "model/model.safetensors") for name in ("whole", "broken"))
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


@pytest.mark.parametrize("place", ["", "model"])
def test_a_run_cannot_overwrite_its_initial_model(
    init_model: Path,
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    given = init_model / place
    arguments = ["--dataset_configs", write_config(WORDS=dataset), *flags, "--retrain", str(given)]
    capsys.readouterr()
    assert cli.train([*arguments, "--model_dir", str(init_model), "--overwrite"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{init_model / 'model'}: is an input of the run, and --overwrite would replace")
    assert set(load_model(init_model).config.datasets) == {"WORDS", "PAIRS"}


@pytest.mark.parametrize(("name", "is_reported"), [("wordpiece", False), ("unigram", True)])
def test_another_encoder_than_that_of_the_initial_model_is_reported(
    init_model: Path,
    flags: list[str],
    encoders: dict[str, str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    name: str,
    is_reported: bool,
) -> None:
    capsys.readouterr()
    arguments = ["--dataset_configs", write_config(WORDS=dataset), *flags, "--retrain", str(init_model)]
    assert cli.train([*arguments, "--check", "--set", f"transformer_model={encoders[name]}"]) == 0
    expected = f"transformer_model: '{encoders[name]}' has no effect with --retrain"
    assert (expected in capsys.readouterr().err) == is_reported


@pytest.mark.parametrize("name", ["config.json", "labels.json", "model.safetensors", "encoder/config.json"])
def test_a_damaged_model_is_one_line(
    init_model: Path,
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    path = init_model / "model" / name
    path.write_bytes(path.read_bytes()[:40])
    capsys.readouterr()
    arguments = ["--dataset_configs", write_config(WORDS=dataset), *flags, "--retrain", str(init_model)]
    assert cli.train([*arguments, "--check"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(str(init_model / "model"))
