"""Words to subwords, with tokenizers of every family as they are published."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tiny_tokenizers import FAMILIES, Tokenizers, write_tokenizer
from transformers import AutoTokenizer

from machamp_lite.data.raw_text_tokenizer import RawTextTokenizer
from machamp_lite.data.tokenization import LongInput, Segments, WordTokenizer, truncate_longest, window_starts
from machamp_lite.errors import ConfigError
from machamp_lite.model.pretrained import load_tokenizer

# Of tokenizers that read characters or bytes, what stands between two words.
SPACES = {"canine": [ord(" ")], "byt5": [ord(" ") + 3]}
KINDS = [
    "wordpiece",
    "roberta",
    "xlm-roberta",
    "without_ends",
    "t5",
    "byt5",
    "canine",
    "gpt2",
    "llama3",
    "gemma",
]
# They put nothing between two texts.
WITHOUT_SEPARATOR = ("without_ends", "gpt2", "qwen")
# Words with a space before them, which the first word of running text has not.
AFTER_SPACE = ("roberta", "bart", "gpt2", "modernbert", "deberta", "llama3", "qwen", "gemma")
WORDS = ["The", "dogs", "do", "n't", "sleep", "zzyzx", "ångström", "!", "dogs"]
SENTENCES = [
    "the old dog does n't like 12 cats , I saw .".split(),
    "a 3 x I ( , ) ' ; 2024".split(),
    "the zzyzx ångström 's e-mail : http://x.org/?a=1&b".split(),
    "I реки 猫 は هذا हिन्दी 🙂 !!! ...".split(),
]
every_kind = pytest.mark.parametrize("kind", KINDS)
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Tokenizers:
    return Tokenizers(tmp_path_factory.mktemp("tokenizers"))


@cache
def loaded(folder: str) -> Any:
    # The one of CANINE takes seconds.
    return load_tokenizer(folder)


@cache
def published(folder: str) -> Any:
    """What anyone else would load."""
    return AutoTokenizer.from_pretrained(folder)


def tokenizer(
    tokenizers: Tokenizers,
    family: str,
    *,
    max_input_length: int = 64,
    long_input: LongInput = "truncate",
) -> WordTokenizer:
    return WordTokenizer(loaded(tokenizers[family]), max_input_length=max_input_length, long_input=long_input)


def inner_ids(words: WordTokenizer, segments: Segments) -> list[int]:
    """The ids between special tokens of what is one piece."""
    ids = segments.subword_ids.tolist()
    return ids[len(words.special.before) : len(ids) - len(words.special.after)]


def subwords_of(words: WordTokenizer, word: str) -> list[int]:
    """The subwords of one word."""
    return inner_ids(words, words.sentences([[word]])[0])


@every_family
def test_words_have_the_subwords_of_running_text(
    tokenizers: Tokenizers, family: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        words = WordTokenizer(load_tokenizer(tokenizers[family]), max_input_length=200, long_input="truncate")
    assert caplog.text == ""
    for sentence in SENTENCES:
        text_ids, first_ids = published(tokenizers[family])(
            [" ".join(sentence), sentence[0]], add_special_tokens=False
        )["input_ids"]
        segments = words.sentences([sentence])[0]
        ids = inner_ids(words, segments)
        assert ids[len(subwords_of(words, sentence[0])) :] == text_ids[len(first_ids) :]
        assert len(ids) == len(text_ids)
        if family not in AFTER_SPACE:
            assert ids == text_ids
        # A word is read at its last subword.
        space = len(SPACES.get(family, []))
        ends, end = [], len(words.special.before) - 1 - space
        for word in sentence:
            end += space + len(subwords_of(words, word))
            ends.append(end)
        assert segments.word_ends.tolist() == ends


@every_family
def test_texts_are_tokenised_as_published(tokenizers: Tokenizers, family: str) -> None:
    words = tokenizer(tokenizers, family, max_input_length=400)
    for sentence in SENTENCES:
        text = " ".join(sentence)
        for texts in [text], [text, "the dog"], ["I  saw", " dogs "]:
            if len(texts) == 1 or family not in WITHOUT_SEPARATOR:
                expected = published(tokenizers[family])(*texts)["input_ids"]
                assert words.texts([texts])[0].subword_ids.tolist() == expected


@every_family
@pytest.mark.parametrize("text", [" ".join(sentence) for sentence in SENTENCES])
def test_raw_text_has_the_subwords_of_running_text(tokenizers: Tokenizers, family: str, text: str) -> None:
    words = tokenizer(tokenizers, family, max_input_length=200)
    parts, segments = RawTextTokenizer(words)(text)
    assert "".join(parts) == text
    assert len(parts) == len(segments.word_ends)
    first = text.split()[0]
    text_ids, first_ids = published(tokenizers[family])([text, first], add_special_tokens=False)["input_ids"]
    assert inner_ids(words, segments)[len(subwords_of(words, first)) :] == text_ids[len(first_ids) :]


@every_family
def test_each_subword_of_raw_text_knows_its_characters(tokenizers: Tokenizers, family: str) -> None:
    text = "the old  dog ran"
    parts, segments = RawTextTokenizer(tokenizer(tokenizers, family, max_input_length=8))(text)
    expected = ["the ", "old  ", "dog ", "ran"]
    if family in SPACES:
        expected = [*"th", "e ", *"ol", "d  ", *"do", "g ", *"ran"]
    assert parts == expected
    # Each item is a subword of its own characters, also in later pieces.
    words = tokenizer(tokenizers, family)
    assert [
        words.tokenizer.decode(int(number)).strip() for number in segments.subword_ids[segments.word_ends]
    ] == [part.strip() for part in expected]


@every_family
def test_a_saved_tokenizer_gives_the_same_subwords(
    tokenizers: Tokenizers, family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = tokenizer(tokenizers, family)
    words.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes(Path(tokenizers[family], "config.json").read_bytes())
    with caplog.at_level("INFO"):
        again = WordTokenizer(
            load_tokenizer(str(tmp_path), is_saved_model=True), max_input_length=64, long_input="truncate"
        )
    assert caplog.text == ""
    assert (again.boundary, again.special) == (words.boundary, words.special)
    for sentence in SENTENCES:
        segments, expected = again.sentences([sentence])[0], words.sentences([sentence])[0]
        assert segments.subword_ids.tolist() == expected.subword_ids.tolist()
        text = " ".join(sentence)
        assert again.texts([[text]])[0].subword_ids.tolist() == words.texts([[text]])[0].subword_ids.tolist()


# What older versions made of "the dog , I saw" with the tokenizers for which words were not those of running text.
GLUED = {
    "modernbert": ["the", "dog", ",", "I", "saw"],
    "gemma": ["the", "dog", ",", "I", "saw"],
    "llama3": ["the", "Ġ", "dog", "Ġ", ",", "Ġ", "I", "Ġ", "saw"],
    "qwen": ["Ġthe", "Ġ", "Ġdog", "Ġ", "Ġ,", "Ġ", "ĠI", "Ġ", "Ġsaw"],
}
IN_OLD_MODELS = GLUED | {
    "wordpiece": ["the", "dog", ",", "i", "s", "##a", "##w"],
    "roberta": ["Ġthe", "Ġdog", "Ġ,", "ĠI", "Ġsaw"],
    "gpt2": ["Ġthe", "Ġdog", "Ġ,", "ĠI", "Ġsaw"],
    "deberta": ["Ġthe", "Ġdog", "Ġ,", "ĠI", "Ġsaw"],
    "xlm-roberta": ["▁the", "▁dog", "▁,", "▁I", "▁saw"],
    "llama2": ["▁the", "▁dog", "▁,", "▁I", "▁saw"],
}


@pytest.mark.parametrize("family", IN_OLD_MODELS)
def test_a_model_of_an_older_version_keeps_its_subwords(
    tokenizers: Tokenizers, family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # As they were loaded and saved.
    AutoTokenizer.from_pretrained(tokenizers[family], add_prefix_space=True).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes(Path(tokenizers[family], "config.json").read_bytes())
    with caplog.at_level("WARNING"):
        words = WordTokenizer(
            load_tokenizer(str(tmp_path), is_saved_model=True), max_input_length=64, long_input="truncate"
        )
    ids = inner_ids(words, words.sentences(["the dog , I saw".split()])[0])
    assert words.tokenizer.convert_ids_to_tokens(ids) == IN_OLD_MODELS[family]
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == (family in GLUED)
    assert all("trained by an older version" in line and "train it again" in line for line in warnings)


def test_spaces_of_raw_text_are_left_out_for_a_model_of_an_older_version(
    tokenizers: Tokenizers, tmp_path: Path
) -> None:
    AutoTokenizer.from_pretrained(tokenizers["byt5"], add_prefix_space=True).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes(Path(tokenizers["byt5"], "config.json").read_bytes())
    words = WordTokenizer(
        load_tokenizer(str(tmp_path), is_saved_model=True), max_input_length=64, long_input="truncate"
    )
    _, segments = RawTextTokenizer(words)("the dog")
    assert words.tokenizer.decode(inner_ids(words, segments)) == "thedog"
    assert words.tokenizer.decode(inner_ids(words, words.sentences([["the", "dog"]])[0])) == "the dog"


def test_words_that_cannot_be_those_of_running_text_are_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_tokenizer("gemma", tmp_path)
    # Subwords of several words, which words given one by one cannot have.
    document = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    document["model"]["vocab"]["▁old▁dog"] = len(document["model"]["vocab"])
    document["model"]["merges"].append(["▁old", "▁dog"])
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    with caplog.at_level("WARNING"):
        found = load_tokenizer(str(tmp_path))
        words = WordTokenizer(found, max_input_length=64, long_input="truncate")
        WordTokenizer(found, max_input_length=32, long_input="truncate")
    (record,) = caplog.records
    assert f"{tmp_path}: words have other subwords than in running text (1 of " in record.getMessage()
    assert "such as 'dog'" in record.getMessage()
    ids = inner_ids(words, words.sentences(["the old dog saw".split()])[0])
    assert words.tokenizer.convert_ids_to_tokens(ids) == ["▁the", "▁old", "▁dog", "▁saw"]


@pytest.mark.parametrize("value", ["glued", "", 1, ["as_is"], {}])
def test_an_unknown_word_boundary_is_a_config_fault(tmp_path: Path, value: Any) -> None:
    write_tokenizer("wordpiece", tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"word_boundary": value}))
    with pytest.raises(ConfigError, match=r"word_boundary: found .*, expected one of as_is, ") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)


@every_kind
def test_a_sentence_is_its_words_tokenised_alone(tokenizers: Tokenizers, kind: str) -> None:
    words = tokenizer(tokenizers, kind)
    space = SPACES.get(kind, [])
    before_word = " " if kind in AFTER_SPACE else ""
    alone = [
        (space if place else []) + words.tokenizer(before_word + word, add_special_tokens=False)["input_ids"]
        for place, word in enumerate(WORDS)
    ]
    segments = words.sentences([WORDS])[0]
    before, after = list(words.special.before), list(words.special.after)
    assert segments.subword_ids.tolist() == before + [number for ids in alone for number in ids] + after
    ends = [len(before) + sum(len(ids) for ids in alone[: place + 1]) - 1 for place in range(len(WORDS))]
    assert segments.word_ends.tolist() == ends
    assert segments.segment_starts.tolist() == [0]


@every_kind
def test_special_tokens_are_those_of_the_tokenizer(tokenizers: Tokenizers, kind: str) -> None:
    words = tokenizer(tokenizers, kind)
    expected = words.tokenizer("the dog", "a cat")
    segments = words.texts([["the dog", "a cat"]])[0]
    if kind in WITHOUT_SEPARATOR:
        # They put nothing between texts, which would be one text.
        assert (
            expected["input_ids"]
            == words.texts([["the dog"]])[0].subword_ids.tolist() + words.texts([["a cat"]])[0].subword_ids.tolist()
        )
        assert words.special.between == (words.tokenizer.sep_token_id or words.tokenizer.eos_token_id,)
        return
    assert segments.subword_ids.tolist() == expected["input_ids"]
    if "token_type_ids" in words.tokenizer.model_input_names:
        assert segments.type_ids.tolist() == expected["token_type_ids"]


@every_kind
@pytest.mark.parametrize("word", ["", "\u200b", "\u00ad"])
def test_a_word_without_subwords_is_unknown(tokenizers: Tokenizers, kind: str, word: str) -> None:
    words = tokenizer(tokenizers, kind)
    before_word = " " if word and kind in AFTER_SPACE else ""
    alone = words.tokenizer(before_word + word, add_special_tokens=False)["input_ids"]
    assert subwords_of(words, word) == (alone or [words.unknown_id])
    assert len(words.sentences([["the", word, "dog"]])[0].word_ends) == 3


@every_kind
def test_long_sentences_are_cut_between_words(tokenizers: Tokenizers, kind: str) -> None:
    words = tokenizer(tokenizers, kind, max_input_length=10)
    segments = words.sentences([WORDS * 3])[0]
    lengths = [*segments.segment_starts[1:], len(segments.subword_ids)] - segments.segment_starts
    assert max(lengths) <= 10
    assert len(lengths) > 1
    assert len(segments.word_ends) == 3 * len(WORDS)
    for start in segments.segment_starts:
        assert tuple(segments.subword_ids[start : start + len(words.special.before)]) == words.special.before
    # Every word ends in the subword that it ends in alone.
    ends = [subwords_of(words, word)[-1] for word in WORDS * 3]
    assert segments.subword_ids[segments.word_ends].tolist() == ends


@every_kind
def test_a_word_longer_than_the_limit_keeps_its_end(tokenizers: Tokenizers, kind: str) -> None:
    words = tokenizer(tokenizers, kind, max_input_length=8)
    long = "the" * 30
    subwords = subwords_of(words, long)
    room = 8 - len(words.special.before) - len(words.special.after)
    before_word = " " if kind in AFTER_SPACE else ""
    assert (
        subwords == words.tokenizer(before_word + long, add_special_tokens=False)["input_ids"][-room:]
    )
    assert len(words.sentences([[long, "dog", long]])[0].word_ends) == 3


@every_kind
@pytest.mark.parametrize("texts", [["dog " * 50], ["dog " * 50, "a cat"], ["", ""], ["dog " * 30] * 4])
def test_texts_are_truncated_until_they_fit(tokenizers: Tokenizers, kind: str, texts: list[str]) -> None:
    words = tokenizer(tokenizers, kind, max_input_length=16)
    segments = words.texts([texts])[0]
    assert len(segments.subword_ids) <= 16
    assert len(segments.subword_ids) == len(segments.type_ids)
    if any(texts):
        assert len(segments.subword_ids) == 16


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
    assert truncate_longest(lengths, room) == expected


@every_kind
def test_characters_of_sentences_are_those_of_the_text(tokenizers: Tokenizers, kind: str) -> None:
    words = tokenizer(tokenizers, kind, max_input_length=16)
    if kind in SPACES:
        segments = words.sentences([["the", "dog", "ran", "and", "ate"]])[0]
        starts = [*segments.segment_starts, len(segments.subword_ids)]
        rows = [segments.subword_ids[start:end] for start, end in zip(starts, starts[1:], strict=False)]
        texts = [words.tokenizer.decode(row, skip_special_tokens=True) for row in rows]
        assert len(texts) == 2
        assert " ".join(texts) == "the dog ran and ate"
    assert len(words.sentences([[]])[0].subword_ids) > 0


@pytest.mark.parametrize(("length", "size"), [(n, size) for n in range(1, 30) for size in range(1, 12)])
def test_strides_cover_a_text_and_overlap_by_a_quarter(length: int, size: int) -> None:
    segments = [range(start, min(length, start + size)) for start in window_starts(length, size)]
    assert {place for segment in segments for place in segment} == set(range(length))
    for left, right in zip(segments, segments[1:], strict=False):
        assert len(left) == size
        assert len(set(left) & set(right)) == size // 4
        assert not set(right) <= set(left)


def rows_of(segments: Segments) -> list[list[int]]:
    starts = [*segments.segment_starts, len(segments.subword_ids)]
    return [segments.subword_ids[start:end].tolist() for start, end in zip(starts, starts[1:], strict=False)]


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
def test_the_longest_text_is_split_next_to_the_others(
    tokenizers: Tokenizers, kind: str, texts: list[str]
) -> None:
    words = tokenizer(tokenizers, kind, max_input_length=24, long_input="stride")
    special = words.special
    parts = [words.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    room = 24 - len(special.before) - len(special.after) - len(special.between) * (len(parts) - 1)
    longest = max(range(len(parts)), key=lambda place: len(parts[place]))
    others = [part for place, part in enumerate(parts) if place != longest]
    others = [
        part[:length]
        for part, length in zip(others, truncate_longest([len(own) for own in others], room // 2), strict=True)
    ]
    size = room - sum(len(own) for own in others)
    assert size >= room / 2
    expected = []
    start = 0
    while True:
        segment = parts[longest][start : start + size]
        row = [*others[:longest], segment, *others[longest:]]
        ids = list(special.before)
        for place, own in enumerate(row):
            ids += [*(special.between if place else ()), *own]
        expected.append([*ids, *special.after])
        if start + size >= len(parts[longest]):
            break
        start += size - size // 4
    segments = words.texts([texts], may_overlap=True)[0]
    if sum(map(len, parts)) <= room:
        expected = [expected[0]]
    assert rows_of(segments) == expected
    assert len(segments.type_ids) == len(segments.subword_ids)
    assert max(map(len, expected)) <= 24


@every_kind
@pytest.mark.parametrize("texts", [["dog"], ["a cat", "dogs"], ["", ""]])
def test_texts_that_fit_are_the_same_with_strides(
    tokenizers: Tokenizers, kind: str, texts: list[str]
) -> None:
    plain, strided = (
        tokenizer(tokenizers, kind, long_input=long_input).texts([texts], may_overlap=True)[0]
        for long_input in ("truncate", "stride")
    )
    assert rows_of(plain) == rows_of(strided)
    assert plain.type_ids.tolist() == strided.type_ids.tolist()


def test_others_that_alone_are_too_long_are_truncated(tokenizers: Tokenizers) -> None:
    texts = ["dog " * 8] * 4
    plain, strided = (
        tokenizer(tokenizers, "wordpiece", max_input_length=24, long_input=long_input).texts(
            [texts], may_overlap=True
        )[0]
        for long_input in ("truncate", "stride")
    )
    assert rows_of(plain) == rows_of(strided)
    assert len(rows_of(plain)) == 1


def test_no_room_for_a_subword_is_a_config_fault(tokenizers: Tokenizers) -> None:
    with pytest.raises(ConfigError, match="max_input_length: 2 leaves no space"):
        tokenizer(tokenizers, "wordpiece", max_input_length=2)
