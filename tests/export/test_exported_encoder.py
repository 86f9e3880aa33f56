"""An exported encoder is loaded by other libraries and has the same hidden states."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from machamp_lite.cli import commands
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.export.encoder import export_encoder
from machamp_lite.model.model_folder import PROVENANCE
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model, save_model
from machamp_lite.nn.lora import merge_adapters
from machamp_lite.training.run import build_model, read_data, seed_everything

TEXTS = ["The dogs don't sleep .", "Who ran ?"]
LORA = 'encoder.lora={"rank": 4, "alpha": 8, "dropout": 0.1, "target_modules": null}'


@pytest.fixture
def build(
    encoders: dict[str, str], dataset: dict[str, Any], tiny_params: str, write_config: Callable[..., str]
) -> Callable[..., Model]:
    def with_encoder(kind: str, *overrides: str, **tasks: Any) -> Model:
        dataset["tasks"] = dataset["tasks"] | tasks
        overrides = (f"transformer_model={encoders[kind]}", *overrides)
        config = load_config([write_config(UD=dataset)], parameters_config=tiny_params, overrides=overrides)
        seed_everything(1)
        return build_model(config, read_data(config)).eval()

    return with_encoder


def states(model: Any, inputs: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
    return found[inputs["attention_mask"].bool()]


def assert_same_states(model: Model, folder: Path, loaded: Any) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    found, expected = states(loaded.eval(), inputs), states(model.encoder.transformer, inputs)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "distilbert", "electra", "modernbert", "deberta", "gpt2"])
def test_transformers_gives_the_same_states(build: Callable[..., Model], tmp_path: Path, kind: str) -> None:
    model = build(kind)
    export_encoder(model, tmp_path / "encoder", provenance={})
    assert_same_states(model, tmp_path / "encoder", transformers.AutoModel.from_pretrained(tmp_path / "encoder"))


def test_t5_is_exported_without_its_decoder(build: Callable[..., Model], tmp_path: Path) -> None:
    model = build("t5")
    export_encoder(model, tmp_path / "encoder", provenance={})
    loaded = transformers.AutoModelForTextEncoding.from_pretrained(tmp_path / "encoder")
    assert_same_states(model, tmp_path / "encoder", loaded)


def test_other_encoder_decoders_are_refused(build: Callable[..., Model], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model for the encoder of 'bart' without its decoder"):
        export_encoder(build("bart"), tmp_path / "encoder", provenance={})
    assert not (tmp_path / "encoder").exists()


def test_the_encoder_of_a_masked_language_model_is_exported(build: Callable[..., Model], tmp_path: Path) -> None:
    model = build("wordpiece", mlm={"task_type": "mlm"})
    export_encoder(model, tmp_path / "encoder", provenance={})
    assert_same_states(model, tmp_path / "encoder", transformers.AutoModel.from_pretrained(tmp_path / "encoder"))


def test_adapters_are_part_of_the_weights(build: Callable[..., Model], tmp_path: Path) -> None:
    pytest.importorskip("peft")
    model = build("wordpiece", LORA)
    with torch.no_grad():
        for name, parameter in model.encoder.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    with_adapters = states(model.encoder.transformer, fixed := _inputs(model))
    export_encoder(model, tmp_path / "encoder", provenance={})
    loaded = transformers.AutoModel.from_pretrained(tmp_path / "encoder").eval()
    torch.testing.assert_close(states(loaded, fixed), with_adapters, atol=1e-5, rtol=0)
    assert not any("lora" in name for name in loaded.state_dict())
    merge_adapters(model.encoder.transformer)


def _inputs(model: Model) -> Any:
    tokenizer = model.tokenizer.tokenizer
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    width = max(map(len, ids))
    pad = tokenizer.pad_token_id
    rows = torch.tensor([row + [pad] * (width - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
    return {"input_ids": rows, "attention_mask": mask}


@pytest.mark.parametrize(("pooling", "expected"), [("max", "max"), ("first", "first"), ("attention", "mean")])
def test_sentence_transformers_pools_as_the_tasks_on_sentences(
    build: Callable[..., Model], tmp_path: Path, pooling: str, expected: str
) -> None:
    library = pytest.importorskip("sentence_transformers")
    mood = {"task_type": "classification", "column_idx": -1, "pooling": pooling}
    model = build("wordpiece", mood=mood)
    assert export_encoder(model, tmp_path / "encoder", provenance={}) == expected
    loaded = library.SentenceTransformer(str(tmp_path / "encoder"), device="cpu")
    assert loaded.max_seq_length == 64
    found = torch.tensor(loaded.encode(TEXTS))
    for text, vector in zip(TEXTS, found, strict=True):
        inputs = model.tokenizer.tokenizer(text, return_tensors="pt")
        own = states(model.encoder.transformer, inputs)
        pooled = {"max": own.amax(0), "first": own[0], "mean": own.mean(0)}[expected]
        torch.testing.assert_close(vector, pooled, atol=1e-5, rtol=0)


def test_the_command_writes_the_encoder_with_its_origin(
    build: Callable[..., Model], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build("wordpiece")
    save_model(model, tmp_path / "model")
    target = tmp_path / "encoder"
    arguments = ["export", str(tmp_path / "model"), "--encoder", str(target)]
    assert commands.main(arguments) == 0
    assert_same_states(load_model(tmp_path / "model"), target, transformers.AutoModel.from_pretrained(target))
    origin = json.loads((target / PROVENANCE).read_text(encoding="utf-8"))
    assert origin["command"] == "machamp-lite export model --encoder encoder"
    assert origin["encoder"]["name"] == "wordpiece"
    capsys.readouterr()
    # It is not replaced.
    assert commands.main(arguments) == 2
    assert capsys.readouterr().err == f"{target}: exists already, expected a new or an empty folder\n"


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        ([], "--encoder: found neither it nor --onnx"),
        (["--encoder", "x", "--int8"], "--int8: has no effect without --onnx"),
        (["--encoder", "x", "--onnx", "./x"], "--onnx: found the same folder as --encoder"),
        (["--encoder", "no/such/x"], "does not exist"),
        (["--encoder", ""], "--encoder: found the empty name"),
    ],
)
def test_wrong_flags_are_reported(
    flags: list[str], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert commands.main(["export", "model", *flags]) == 2
    assert fault in capsys.readouterr().err
