"""Words to subwords, with tokenizers of every kind."""

import pytest

from machamp_lite.data.tokenization import WordTokenizer, shorten
from machamp_lite.errors import ConfigError
from machamp_lite.pretrained import load_tokenizer

KINDS = ["wordpiece", "bpe", "unigram"]
WORDS = ["The", "dogs", "do", "n't", "sleep", "zzyzx", "ångström", "!", "dogs"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def tokenizer(encoders: dict[str, str], kind: str, *, max_input_length: int = 64) -> WordTokenizer:
    return WordTokenizer(load_tokenizer(encoders[kind]), max_input_length=max_input_length)


@every_kind
def test_a_sentence_is_its_words_tokenised_alone(encoders: dict[str, str], kind: str) -> None:
    words = tokenizer(encoders, kind)
    alone = [words.tokenizer(word, add_special_tokens=False)["input_ids"] for word in WORDS]
    pieces = words.sentence(WORDS)
    before, after = list(words.special.before), list(words.special.after)
    assert pieces.subword_ids.tolist() == before + [number for ids in alone for number in ids] + after
    ends = [len(before) + sum(len(ids) for ids in alone[: place + 1]) - 1 for place in range(len(WORDS))]
    assert pieces.word_ends.tolist() == ends
    assert pieces.piece_starts.tolist() == [0]


@every_kind
def test_special_tokens_are_those_of_the_tokenizer(encoders: dict[str, str], kind: str) -> None:
    words = tokenizer(encoders, kind)
    expected = words.tokenizer("the dog", "a cat")
    pieces = words.texts(["the dog", "a cat"])
    assert pieces.subword_ids.tolist() == expected["input_ids"]
    if "token_type_ids" in words.tokenizer.model_input_names:
        assert pieces.type_ids.tolist() == expected["token_type_ids"]


@every_kind
@pytest.mark.parametrize("word", ["", "\u200b", "\u00ad"])
def test_a_word_without_subwords_is_unknown(encoders: dict[str, str], kind: str, word: str) -> None:
    words = tokenizer(encoders, kind)
    alone = words.tokenizer(word, add_special_tokens=False)["input_ids"]
    assert list(words.subwords(word)) == (alone or [words.unknown_id])
    assert len(words.sentence(["the", word, "dog"]).word_ends) == 3


@every_kind
def test_long_sentences_are_cut_between_words(encoders: dict[str, str], kind: str) -> None:
    words = tokenizer(encoders, kind, max_input_length=10)
    pieces = words.sentence(WORDS * 3)
    lengths = [*pieces.piece_starts[1:], len(pieces.subword_ids)] - pieces.piece_starts
    assert max(lengths) <= 10
    assert len(lengths) > 1
    assert len(pieces.word_ends) == 3 * len(WORDS)
    for start in pieces.piece_starts:
        assert tuple(pieces.subword_ids[start : start + len(words.special.before)]) == words.special.before
    # Every word ends in the subword that it ends in alone.
    ends = [words.subwords(word)[-1] for word in WORDS * 3]
    assert pieces.subword_ids[pieces.word_ends].tolist() == ends


@every_kind
def test_a_word_longer_than_the_limit_keeps_its_end(encoders: dict[str, str], kind: str) -> None:
    words = tokenizer(encoders, kind, max_input_length=8)
    long = "the" * 30
    subwords = words.subwords(long)
    assert len(subwords) <= 6
    assert list(subwords) == words.tokenizer(long, add_special_tokens=False)["input_ids"][-6:]
    assert len(words.sentence([long, "dog", long]).word_ends) == 3


@every_kind
@pytest.mark.parametrize("texts", [["dog " * 50], ["dog " * 50, "a cat"], ["", ""], ["dog " * 30] * 4])
def test_texts_are_truncated_until_they_fit(encoders: dict[str, str], kind: str, texts: list[str]) -> None:
    words = tokenizer(encoders, kind, max_input_length=16)
    pieces = words.texts(texts)
    assert len(pieces.subword_ids) <= 16
    assert len(pieces.subword_ids) == len(pieces.type_ids)
    if any(texts):
        assert len(pieces.subword_ids) == 16


@pytest.mark.parametrize(
    ("lengths", "room", "expected"),
    [
        ([3, 4], 10, [3, 4]),
        ([9, 4], 10, [6, 4]),
        ([9, 9], 11, [5, 6]),
        ([8, 2, 8], 12, [5, 2, 5]),
        ([5], 3, [3]),
    ],
)
def test_the_longest_texts_give_way(lengths: list[int], room: int, expected: list[int]) -> None:
    assert shorten(lengths, room) == expected


def test_no_room_for_a_subword_is_a_config_fault(encoders: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="max_input_length: 2 leaves no room"):
        tokenizer(encoders, "wordpiece", max_input_length=2)
