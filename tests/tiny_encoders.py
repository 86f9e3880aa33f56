"""Tiny random encoders of every kind, with tokenizers that fit them, built on the spot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    ByT5Tokenizer,
    CanineConfig,
    CanineModel,
    CanineTokenizer,
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
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
    XLMRobertaConfig,
    XLMRobertaModel,
)

CORPUS = [
    "the old dog sleeps near the river .",
    "a cat chased two mice yesterday and they ran .",
    "Anna does n't like small cold houses !",
    "trains leave at noon ; buses left earlier , he said",
    "which books did you read last week ?",
]
WORD_PIECE_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 80,
}


def word_piece_tokenizer() -> PreTrainedTokenizerFast:
    """Lower-casing WordPiece, as BERT has it."""
    # A trainer breaks ties at random, and the golden losses want the same ids in every run.
    words = sorted({word.lower() for line in CORPUS for word in line.split() if len(word) <= 4})
    letters = "abcdefghijklmnopqrstuvwxyz"
    subwords = [
        *WORD_PIECE_SPECIALS,
        *letters,
        *(f"##{letter}" for letter in letters),
        *words,
        *".,;!?'",
        "##s",
    ]
    vocabulary = {subword: number for number, subword in enumerate(dict.fromkeys(subwords))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ids = {name: tokenizer.token_to_id(name) for name in WORD_PIECE_SPECIALS}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, ids[name]) for name in ("[CLS]", "[SEP]")],
    )
    # Both are switched on in some published tokenizers, and must not change what a word is.
    tokenizer.enable_padding(length=16)
    tokenizer.enable_truncation(max_length=8)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _roberta_like(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )


def byte_pair_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, as RoBERTa has it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=ROBERTA_SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _roberta_like(tokenizer)


def unigram_tokenizer() -> PreTrainedTokenizerFast:
    """Unigram with word-start marks, as XLM-R has it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=100, special_tokens=ROBERTA_SPECIALS, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _roberta_like(tokenizer)


def unigram_tokenizer_without_start() -> PreTrainedTokenizerFast:
    """Unigram that ends texts and does not start them, as T5 has it."""
    tokenizer = unigram_tokenizer().backend_tokenizer
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>",
        pair="$A </s> $B </s>",
        special_tokens=[("</s>", tokenizer.token_to_id("</s>"))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )


def word_piece_tokenizer_without_ends() -> PreTrainedTokenizerFast:
    """WordPiece that puts nothing around a text."""
    tokenizer = word_piece_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1")
    return tokenizer


def byte_pair_tokenizer_without_ends() -> PreTrainedTokenizerFast:
    """Byte-level BPE with an end token that it does not put, and no other: as GPT-2 has it."""
    tokenizer = byte_pair_tokenizer().backend_tokenizer
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", model_input_names=["input_ids", "attention_mask"]
    )


def unigram_tokenizer_without_end() -> PreTrainedTokenizerFast:
    """Unigram that starts texts and does not end them, without a padding token: as Llama has it."""
    tokenizer = unigram_tokenizer().backend_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )


def _encoder(tokenizer: Any, config: Any, model: Any, **options: Any) -> tuple[Any, Any]:
    sizes = TINY | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id} | options
    return tokenizer, model(config(**sizes))


def _t5(tokenizer: Any) -> tuple[Any, Any]:
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
    return tokenizer, T5ForConditionalGeneration(config)


def _bart() -> tuple[Any, Any]:
    tokenizer = byte_pair_tokenizer()
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
    return tokenizer, BartForConditionalGeneration(config)


KINDS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "wordpiece": lambda: _encoder(word_piece_tokenizer(), BertConfig, BertModel),
    "bpe": lambda: _encoder(byte_pair_tokenizer(), RobertaConfig, RobertaModel),
    "unigram": lambda: _encoder(unigram_tokenizer(), XLMRobertaConfig, XLMRobertaModel),
    "without_ends": lambda: _encoder(word_piece_tokenizer_without_ends(), BertConfig, BertModel),
    "distilbert": lambda: _encoder(
        word_piece_tokenizer(),
        DistilBertConfig,
        DistilBertModel,
        dim=32,
        n_layers=2,
        n_heads=2,
        hidden_dim=64,
    ),
    "electra": lambda: _encoder(word_piece_tokenizer(), ElectraConfig, ElectraModel, embedding_size=16),
    "modernbert": lambda: _encoder(
        byte_pair_tokenizer(),
        ModernBertConfig,
        ModernBertModel,
        local_attention=8,
        bos_token_id=0,
        cls_token_id=0,
        eos_token_id=2,
        sep_token_id=2,
    ),
    "deberta": lambda: _encoder(
        unigram_tokenizer(),
        DebertaV2Config,
        DebertaV2Model,
        relative_attention=True,
        position_biased_input=False,
        pos_att_type=["p2c", "c2p"],
        position_buckets=16,
        max_position_embeddings=16,
    ),
    "t5": lambda: _t5(unigram_tokenizer_without_start()),
    "byt5": lambda: _t5(ByT5Tokenizer()),
    "bart": _bart,
    "canine": lambda: _encoder(
        CanineTokenizer(),
        CanineConfig,
        CanineModel,
        num_hash_buckets=64,
        max_position_embeddings=160,
        local_transformer_stride=16,
    ),
    "gpt2": lambda: _encoder(
        byte_pair_tokenizer_without_ends(),
        GPT2Config,
        GPT2LMHeadModel,
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=80,
        bos_token_id=None,
        eos_token_id=2,
    ),
    "llama": lambda: _encoder(unigram_tokenizer_without_end(), LlamaConfig, LlamaModel),
}


class Encoders(dict[str, str]):
    """The folder of each kind, in which model and tokenizer are saved when it is first asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def __missing__(self, kind: str) -> str:
        torch.manual_seed(0)
        folder = self.root / kind
        tokenizer, model = KINDS[kind]()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        self[kind] = str(folder)
        return self[kind]
