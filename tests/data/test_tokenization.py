"""Words to subwords, with tokenizers of every kind."""

import pytest

from machamp_lite.data.tokenization import LongInput, Pieces, WordTokenizer, shorten, strides
from machamp_lite.errors import ConfigError
from machamp_lite.pretrained import load_tokenizer

# Of tokenizers that read characters or bytes, what stands between two words.
SPACES = {"canine": [ord(" ")], "byt5": [ord(" ") + 3]}
KINDS = ["wordpiece", "bpe", "unigram", "without_ends", "t5", "byt5", "canine", "gpt2", "llama"]
WORDS = ["The", "dogs", "do", "n't", "sleep", "zzyzx", "ångström", "!", "dogs"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def tokenizer(
    encoders: dict[str, str], kind: str, *, max_input_length: int = 64, long_input: LongInput = "truncate"
) -> WordTokenizer:
    return WordTokenizer(
        load_tokenizer(encoders[kind]), max_input_length=max_input_length, long_input=long_input
    )


@every_kind
def test_a_sentence_is_its_words_tokenised_alone(encoders: dict[str, str], kind: str) -> None:
    words = tokenizer(encoders, kind)
    space = SPACES.get(kind, [])
    alone = [
        (space if place else []) + words.tokenizer(word, add_special_tokens=False)["input_ids"]
        for place, word in enumerate(WORDS)
    ]
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
    if kind in ("without_ends", "gpt2"):
        # They put nothing between texts, which would be one text.
        assert (
            expected["input_ids"]
            == words.texts(["the dog"]).subword_ids.tolist() + words.texts(["a cat"]).subword_ids.tolist()
        )
        assert words.special.between == (words.tokenizer.sep_token_id or words.tokenizer.eos_token_id,)
        return
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
    room = 8 - len(words.special.before) - len(words.special.after)
    assert list(subwords) == words.tokenizer(long, add_special_tokens=False)["input_ids"][-room:]
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


@every_kind
def test_characters_of_sentences_are_those_of_the_text(encoders: dict[str, str], kind: str) -> None:
    words = tokenizer(encoders, kind, max_input_length=16)
    if kind in SPACES:
        pieces = words.sentence(["the", "dog", "ran", "and", "ate"])
        starts = [*pieces.piece_starts, len(pieces.subword_ids)]
        rows = [pieces.subword_ids[start:end] for start, end in zip(starts, starts[1:], strict=False)]
        texts = [words.tokenizer.decode(row, skip_special_tokens=True) for row in rows]
        assert len(texts) == 2
        assert " ".join(texts) == "the dog ran and ate"
    assert len(words.sentence([]).subword_ids) > 0


@pytest.mark.parametrize(("length", "size"), [(n, size) for n in range(1, 30) for size in range(1, 12)])
def test_strides_cover_a_text_and_overlap_by_a_quarter(length: int, size: int) -> None:
    pieces = [range(start, min(length, start + size)) for start in strides(length, size)]
    assert {place for piece in pieces for place in piece} == set(range(length))
    for left, right in zip(pieces, pieces[1:], strict=False):
        assert len(left) == size
        assert len(set(left) & set(right)) == size // 4
        assert not set(right) <= set(left)


def rows_of(pieces: Pieces) -> list[list[int]]:
    starts = [*pieces.piece_starts, len(pieces.subword_ids)]
    return [pieces.subword_ids[start:end].tolist() for start, end in zip(starts, starts[1:], strict=False)]


@every_kind
@pytest.mark.parametrize(
    "texts",
    [
        ["dog cat " * 30],
        ["dog " * 40, "a cat"],
        ["a cat", "dog ran " * 30],
        ["the dog " * 12, "dog ran " * 30, "a"],
        ["dog " * 9, "cat " * 9],
    ],
)
def test_the_longest_text_is_cut_into_pieces_beside_the_others(
    encoders: dict[str, str], kind: str, texts: list[str]
) -> None:
    words = tokenizer(encoders, kind, max_input_length=24, long_input="stride")
    special = words.special
    parts = [words.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    room = 24 - len(special.before) - len(special.after) - len(special.between) * (len(parts) - 1)
    longest = max(range(len(parts)), key=lambda place: len(parts[place]))
    others = [part for place, part in enumerate(parts) if place != longest]
    others = [
        part[:length]
        for part, length in zip(others, shorten([len(own) for own in others], room // 2), strict=True)
    ]
    size = room - sum(len(own) for own in others)
    assert size >= room / 2
    expected = []
    start = 0
    while True:
        piece = parts[longest][start : start + size]
        row = [*others[:longest], piece, *others[longest:]]
        ids = list(special.before)
        for place, own in enumerate(row):
            ids += [*(special.between if place else ()), *own]
        expected.append([*ids, *special.after])
        if start + size >= len(parts[longest]):
            break
        start += size - size // 4
    pieces = words.texts(texts, whole=True)
    if sum(map(len, parts)) <= room:
        expected = [expected[0]]
    assert rows_of(pieces) == expected
    assert len(pieces.type_ids) == len(pieces.subword_ids)
    assert max(map(len, expected)) <= 24


@every_kind
@pytest.mark.parametrize("texts", [["dog"], ["a cat", "dogs"], ["", ""]])
def test_texts_that_fit_are_the_same_with_strides(
    encoders: dict[str, str], kind: str, texts: list[str]
) -> None:
    plain, strided = (
        tokenizer(encoders, kind, long_input=long_input).texts(texts, whole=True)
        for long_input in ("truncate", "stride")
    )
    assert rows_of(plain) == rows_of(strided)
    assert plain.type_ids.tolist() == strided.type_ids.tolist()


def test_others_that_alone_are_too_long_are_truncated(encoders: dict[str, str]) -> None:
    texts = ["dog " * 8] * 4
    plain, strided = (
        tokenizer(encoders, "wordpiece", max_input_length=24, long_input=long_input).texts(texts, whole=True)
        for long_input in ("truncate", "stride")
    )
    assert rows_of(plain) == rows_of(strided)
    assert len(rows_of(plain)) == 1


def test_no_room_for_a_subword_is_a_config_fault(encoders: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="max_input_length: 2 leaves no room"):
        tokenizer(encoders, "wordpiece", max_input_length=2)
