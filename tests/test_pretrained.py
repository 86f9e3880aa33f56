"""Where encoders come from."""

import shutil
from pathlib import Path

import pytest
import torch

from machamp_lite import pretrained
from machamp_lite.errors import ConfigError

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


def test_a_local_folder_comes_first(encoder: str) -> None:
    assert pretrained.find_pretrained(encoder) == encoder
    assert pretrained.load_transformer(encoder).config.hidden_size == 32


def test_what_no_task_reads_is_left_out(encoder: str) -> None:
    transformer = pretrained.load_transformer(encoder)
    assert not [name for name, _ in transformer.named_parameters() if "pooler" in name]


def test_reset_gives_other_weights_of_the_same_shape(encoder: str) -> None:
    kept, reset = pretrained.load_transformer(encoder), pretrained.load_transformer(encoder, reset=True)
    shapes = [
        {name: tuple(value.shape) for name, value in model.named_parameters()} for model in (kept, reset)
    ]
    assert shapes[0] == shapes[1]
    weights = [model.encoder.layer[0].attention.self.query.weight for model in (kept, reset)]
    assert not torch.equal(*weights)


def test_a_model_that_cannot_be_found_is_told_in_one_line_with_what_was_tried() -> None:
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


def test_a_folder_without_a_model_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no encoder that can be loaded") as caught:
        pretrained.load_transformer(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_model_with_code_of_its_own_is_refused(encoder: str, tmp_path: Path) -> None:
    folder = tmp_path / "with_code"
    shutil.copytree(encoder, folder)
    config = (folder / "config.json").read_text().replace('"bert"', '"own_kind"')
    auto_map = '"auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"},'
    (folder / "config.json").write_text(config.replace("{", "{" + auto_map, 1))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    with pytest.raises(ConfigError):
        pretrained.load_transformer(str(folder))
    assert not (tmp_path / "was_run").exists()
