"""Tiny random encoders of every kind, built on the spot; their tokenizers are in ``tiny_tokenizers``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tiny_tokenizers import write_tokenizer
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    ByT5Tokenizer,
    CanineConfig,
    CanineModel,
    DebertaV2Config,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaModel,
    ModernBertConfig,
    ModernBertModel,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
    XLMRobertaConfig,
    XLMRobertaModel,
)

TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 80,
}


def _model(config: Any, model: Any, **options: Any) -> Callable[[Any], Any]:
    """A model with the sizes of a tokenizer."""

    def build(tokenizer: Any) -> Any:
        sizes = TINY | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id} | options
        return model(config(**sizes))

    return build


def _t5(tokenizer: Any) -> Any:
    config = T5Config(
        vocab_size=max(len(tokenizer), 384 if isinstance(tokenizer, ByT5Tokenizer) else 0),
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    return T5ForConditionalGeneration(config)


def _bart(tokenizer: Any) -> Any:
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=160,
        dropout=0.0,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
    )
    return BartForConditionalGeneration(config)


# kind -> (the family of its tokenizer, what builds its model)
KINDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "wordpiece": ("wordpiece", _model(BertConfig, BertModel)),
    "bpe": ("roberta", _model(RobertaConfig, RobertaModel)),
    "unigram": ("xlm-roberta", _model(XLMRobertaConfig, XLMRobertaModel)),
    "without_ends": ("without_ends", _model(BertConfig, BertModel)),
    "distilbert": (
        "distilbert",
        _model(DistilBertConfig, DistilBertModel, dim=32, n_layers=2, n_heads=2, hidden_dim=64),
    ),
    "electra": ("electra", _model(ElectraConfig, ElectraModel, embedding_size=16)),
    "modernbert": (
        "modernbert",
        _model(
            ModernBertConfig,
            ModernBertModel,
            local_attention=8,
            bos_token_id=4,
            cls_token_id=4,
            eos_token_id=5,
            sep_token_id=5,
        ),
    ),
    "deberta": (
        "deberta-v3",
        _model(
            DebertaV2Config,
            DebertaV2Model,
            relative_attention=True,
            position_biased_input=False,
            pos_att_type=["p2c", "c2p"],
            position_buckets=16,
            max_position_embeddings=16,
        ),
    ),
    "t5": ("t5", _t5),
    "byt5": ("byt5", _t5),
    "bart": ("bart", _bart),
    "canine": (
        "canine",
        _model(
            CanineConfig,
            CanineModel,
            num_hash_buckets=64,
            max_position_embeddings=160,
            local_transformer_stride=16,
        ),
    ),
    "gpt2": (
        "gpt2",
        _model(
            GPT2Config,
            GPT2LMHeadModel,
            n_embd=32,
            n_layer=2,
            n_head=2,
            n_positions=80,
            bos_token_id=None,
            eos_token_id=0,
        ),
    ),
    "llama": ("llama3", _model(LlamaConfig, LlamaModel, bos_token_id=0, eos_token_id=1)),
}


class Encoders(dict[str, str]):
    """The folder of each kind, in which model and tokenizer are saved when it is first asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def __missing__(self, kind: str) -> str:
        torch.manual_seed(0)
        folder = self.root / kind
        family, build = KINDS[kind]
        write_tokenizer(family, folder)
        build(AutoTokenizer.from_pretrained(folder)).save_pretrained(folder)
        self[kind] = str(folder)
        return self[kind]
