"""Tiny tokenizers in the form in which the models of each family are published: the same parts, a small vocabulary.

A folder holds ``tokenizer.json`` and ``tokenizer_config.json`` as the published one does, so that ``AutoTokenizer``
takes the same way through them; ``config.json`` names the model, since some families name no tokenizer class.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import ByT5Tokenizer, CanineTokenizer

CORPUS = [
    "the old dog sleeps near the river .",
    "a cat chased two mice yesterday and they ran .",
    "Anna does n't like small cold houses !",
    "trains leave at noon ; buses left earlier , he said",
    "which books did you read last week ?",
    "I saw 3 of the 12 dogs in 2024 : no , 's it ?",
]
WORD_PIECE_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Words and single characters are common in published vocabularies, alone as well as after a space.
WORDS = sorted(
    {word for line in CORPUS for word in line.split() if len(word) <= 5}
    | set(LETTERS)
    | set("0123456789.,;:!?'")
)
LLAMA_3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_SPLIT = LLAMA_3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")


def _byte_pairs(specials: Iterable[str], alphabet: Iterable[str], space: str, **options: Any) -> models.BPE:
    """BPE with the short words of the corpus, merged with a space before them and without one."""
    # A trainer breaks ties at random; here the ids are the same in every run.
    merges: dict[tuple[str, str], None] = {}
    for word in [space + word for word in WORDS] + sorted(WORDS, key=len, reverse=True):
        for end in range(1, len(word)):
            merges[word[:end], word[end]] = None
    subwords = [*specials, *sorted(alphabet), *("".join(pair) for pair in merges)]
    vocabulary = {subword: number for number, subword in enumerate(dict.fromkeys(subwords))}
    return models.BPE(vocab=vocabulary, merges=list(merges), **options)


def _byte_level(specials: Iterable[str], **options: Any) -> Tokenizer:
    tokenizer = Tokenizer(_byte_pairs(specials, pre_tokenizers.ByteLevel.alphabet(), "Ġ", **options))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    _add_specials(tokenizer, specials)
    return tokenizer


def _byte_fallback(specials: Iterable[str]) -> Tokenizer:
    alphabet = ["▁", *LETTERS, *"0123456789.,;:!?'", *(f"<0x{number:02X}>" for number in range(256))]
    unknown = next(special for special in specials if "unk" in special)
    tokenizer = Tokenizer(
        _byte_pairs(specials, alphabet, "▁", unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    _add_specials(tokenizer, specials)
    return tokenizer


def _unigram(specials: list[str], unknown: str) -> Tokenizer:
    segments = [(special, 0.0) for special in specials]
    segments += [(character, -9.0) for character in ["▁", *LETTERS, *"0123456789.,;:!?'"]]
    segments += [(f"▁{word}", -6.0) for word in WORDS]
    segments += [(word, -7.0) for word in WORDS if len(word) > 1]
    tokenizer = Tokenizer(models.Unigram(segments, unk_id=specials.index(unknown)))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    _add_specials(tokenizer, specials)
    return tokenizer


def _add_specials(tokenizer: Tokenizer, specials: Iterable[str]) -> None:
    # The mask takes the place of a word with the space before it.
    tokenizer.add_special_tokens(
        [AddedToken(name, lstrip="mask" in name.lower(), normalized=False) for name in specials]
    )


def _around(tokenizer: Tokenizer, single: str, pair: str, *specials: str) -> Any:
    ids = [(name, tokenizer.token_to_id(name)) for name in specials]
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)


def _named(**names: str) -> dict[str, str]:
    return {f"{key}_token": name for key, name in names.items()}


Files = tuple[Tokenizer, dict[str, Any]]


def word_piece() -> Tokenizer:
    """Lower-casing WordPiece, as BERT has it."""
    words = sorted({word.lower() for line in CORPUS[:5] for word in line.split() if len(word) <= 4})
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
    tokenizer.decoder = decoders.WordPiece()
    _add_specials(tokenizer, WORD_PIECE_SPECIALS)
    tokenizer.post_processor = _around(
        tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS]", "[SEP]"
    )
    # Both are switched on in some published tokenizers, and must not change what a word is.
    tokenizer.enable_padding(length=16)
    tokenizer.enable_truncation(max_length=8)
    return tokenizer


def _bert() -> Files:
    config = {"do_lower_case": True, "model_max_length": 512, "tokenizer_class": "BertTokenizer"}
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return word_piece(), config | _named(**names)


def _without_ends() -> Files:
    """WordPiece that puts nothing around a text."""
    tokenizer, config = _bert()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1")
    # The class itself would put its ends back.
    return tokenizer, config | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    }


def _roberta() -> Files:
    tokenizer = _byte_level(ROBERTA_SPECIALS)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer, {"model_max_length": 512}


def _gpt2() -> Files:
    tokenizer = _byte_level(["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer, {"model_max_length": 1024}


def _modern_bert() -> Files:
    # Runs of spaces are tokens of their own.
    specials = ["|||IP_ADDRESS|||", "<|padding|>", "<|endoftext|>"]
    specials += ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer = _byte_level(specials)
    tokenizer.add_tokens([AddedToken(" " * count, normalized=True) for count in range(24, 1, -1)])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = _around(
        tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS]", "[SEP]"
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return tokenizer, _named(**names) | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 8192,
        "clean_up_tokenization_spaces": True,
    }


def _deberta() -> Files:
    """The first DeBERTa, which has the vocabulary of GPT-2."""
    tokenizer = _byte_level(["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"])
    tokenizer.post_processor = _around(
        tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS]", "[SEP]"
    )
    return tokenizer, {"do_lower_case": False, "vocab_type": "gpt2"}


def _deberta_v3() -> Files:
    tokenizer = _unigram(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"], "[UNK]")
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
            normalizers.NFC(),
            normalizers.Strip(left=False),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="always")])
    tokenizer.post_processor = _around(
        tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS]", "[SEP]"
    )
    return tokenizer, {"do_lower_case": False, "vocab_type": "spm"}


def _xlm_roberta() -> Files:
    tokenizer = _unigram(ROBERTA_SPECIALS, "<unk>")
    tokenizer.post_processor = _around(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>", "<s>", "</s>")
    return tokenizer, {"model_max_length": 512}


def _t5() -> Files:
    tokenizer = _unigram(["<pad>", "</s>", "<unk>"], "<unk>")
    tokenizer.post_processor = _around(tokenizer, "$A </s>", "$A </s> $B </s>", "</s>")
    return tokenizer, {"model_max_length": 512, "extra_ids": 0, "additional_special_tokens": []}


def _llama_2() -> Files:
    tokenizer = _byte_fallback(["<unk>", "<s>", "</s>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.post_processor = _around(tokenizer, "<s> $A", "<s> $A <s>:1 $B:1", "<s>")
    return tokenizer, _named(bos="<s>", eos="</s>", unk="<unk>") | {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "legacy": False,
    }


def _split_byte_level(tokenizer: Tokenizer, regex: str) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(regex), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _llama_3() -> Files:
    tokenizer = _byte_level(["<|begin_of_text|>", "<|end_of_text|>"], ignore_merges=True)
    _split_byte_level(tokenizer, LLAMA_3_SPLIT)
    start = _around(
        tokenizer,
        "<|begin_of_text|> $A",
        "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
        "<|begin_of_text|>",
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), start])
    return tokenizer, _named(bos="<|begin_of_text|>", eos="<|end_of_text|>") | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
    }


def _qwen() -> Files:
    tokenizer = _byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.normalizer = normalizers.NFC()
    _split_byte_level(tokenizer, QWEN_SPLIT)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer, _named(eos="<|im_end|>", pad="<|endoftext|>") | {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_prefix_space": False,
    }


def _gemma() -> Files:
    tokenizer = _byte_fallback(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    # It comes after the normalizer, and finds no space any more.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    tokenizer.post_processor = _around(tokenizer, "<bos> $A", "<bos> $A <bos>:1 $B:1", "<bos>")
    return tokenizer, _named(bos="<bos>", eos="<eos>", pad="<pad>", unk="<unk>") | {
        "tokenizer_class": "GemmaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
    }


# family -> (the model_type of its config, its files or its tokenizer)
FAMILIES: dict[str, tuple[str, Callable[[], Any]]] = {
    "wordpiece": ("bert", _bert),
    "without_ends": ("bert", _without_ends),
    "distilbert": ("distilbert", lambda: (word_piece(), {"do_lower_case": True, "model_max_length": 512})),
    "electra": ("electra", lambda: (word_piece(), {"do_lower_case": True})),
    "roberta": ("roberta", _roberta),
    "bart": ("bart", _roberta),
    "gpt2": ("gpt2", _gpt2),
    "modernbert": ("modernbert", _modern_bert),
    "deberta": ("deberta", _deberta),
    "deberta-v3": ("deberta-v2", _deberta_v3),
    "xlm-roberta": ("xlm-roberta", _xlm_roberta),
    "t5": ("t5", _t5),
    "llama2": ("llama", _llama_2),
    "llama3": ("llama", _llama_3),
    "qwen": ("qwen3", _qwen),
    "gemma": ("gemma2", _gemma),
    "byt5": ("t5", ByT5Tokenizer),
    "canine": ("canine", CanineTokenizer),
}


def write_tokenizer(family: str, folder: Path) -> None:
    """Writes a family's tokenizer as it is published, and a config that names its model."""
    folder.mkdir(parents=True, exist_ok=True)
    model_type, build = FAMILIES[family]
    built = build()
    if isinstance(built, tuple):
        tokenizer, config = built
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    else:
        built.save_pretrained(folder)
    if not (folder / "config.json").exists():
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")


class Tokenizers(dict[str, str]):
    """The folder of each family, in which its tokenizer is written when it is first asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def __missing__(self, family: str) -> str:
        write_tokenizer(family, self.root / family)
        self[family] = str(self.root / family)
        return self[family]
