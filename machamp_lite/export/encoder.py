"""Exports the fine-tuned encoder as a model of transformers and sentence-transformers."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers

from machamp_lite.errors import ConfigError
from machamp_lite.files.atomic import replacing_folder, write_json
from machamp_lite.model.model_folder import PROVENANCE
from machamp_lite.model.multitask_model import Model
from machamp_lite.nn.lora import merge_adapters

logger = logging.getLogger(__name__)

# How sentence-transformers names what the pooling of tasks is called here.
_POOLING = {"first": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "last": "lasttoken"}
_DEFAULT_POOLING = "mean"


def export_encoder(model: Model, folder: Path, *, provenance: Mapping[str, Any]) -> str:
    """Writes the encoder, with adapters merged, and its tokenizer; returns the pooling for sentence-transformers.

    It is that of the tasks on sentences if all have the same one, else the mean. Raises ``ConfigError`` for encoders
    that transformers cannot load without their decoder.
    """
    transformer = model.encoder.transformer
    merge_adapters(transformer)
    complete = _complete_model(model)
    if model.dataset_embedding is not None:
        logger.warning(
            "dataset embeddings are left out: they are concatenated with the output of the encoder"
        )
    pooling = _sentence_pooling(model)
    with replacing_folder(folder) as new:
        complete.save_pretrained(new)
        model.tokenizer.tokenizer.save_pretrained(new)
        _write_sentence_transformer(new, model, pooling)
        write_json(new / PROVENANCE, dict(provenance))
        for path in new.rglob("*.safetensors"):
            # safetensors makes the file readable for its owner only.
            path.chmod((new / PROVENANCE).stat().st_mode)
    return pooling


def _complete_model(model: Model) -> Any:
    """A model that transformers can load from its config: for encoder-decoders, not the encoder alone."""
    transformer = model.encoder.transformer
    config: Any = transformer.config
    if model.pretrained.kind == "sequence":
        return model.pretrained.language_model
    is_known = not config.is_encoder_decoder and type(config) in transformers.MODEL_MAPPING
    if is_known and isinstance(transformer, transformers.MODEL_MAPPING[type(config)]):
        return transformer
    if type(config) in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING:
        # For T5 and its relatives, a class with the encoder alone.
        with_encoder = transformers.MODEL_FOR_TEXT_ENCODING_MAPPING[type(config)](config)
        with_encoder.encoder = transformer
        with_encoder.set_input_embeddings(transformer.get_input_embeddings())
        return with_encoder
    raise ConfigError(
        f"--encoder: transformers has no model for the encoder of '{config.model_type}' without its decoder, expected "
        "an encoder of another kind"
    )


def _sentence_pooling(model: Model) -> str:
    """The pooling of all tasks on sentences, if they agree and sentence-transformers has it."""
    found = {source.pooling for source in model.sources if source.level == "sentence"}
    pooling = next(iter(found)) if len(found) == 1 else _DEFAULT_POOLING
    if model.encoder.is_causal:
        pooling = "last"
    return pooling if pooling in _POOLING else _DEFAULT_POOLING


def _write_sentence_transformer(folder: Path, model: Model, pooling: str) -> None:
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    # No JSON object, but the format of sentence-transformers.
    write_json(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir()
    chosen = {f"pooling_mode_{name}": name == _POOLING[pooling] for name in _POOLING.values()}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": model.encoder.width, **chosen})
    longest = model.config.params.encoder.max_input_length
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
