"""Edit scripts give back every target, and few of them serve many words."""

import doctest
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from machamp_lite.data import edit_script
from machamp_lite.data.edit_script import apply_script, make_script


@given(st.text(), st.text())
@example("", "")
@example("word", "")
@example("", "target")
@example("İstanbul", "i̇stanbul")
@example("istanbul", "İstanbul")
@example("STRASSE", "Straße")
@example("e\u0301te\u0301", "été")
@example("two\nlines\t", "two\nline")
@example("abc", "x>1+abc")
@example("abc", "=abc")
@example("\ud800a", "a\udfff")
def test_every_script_gives_back_its_target(word: str, target: str) -> None:
    assert apply_script(word, make_script(word, target)) == target


@given(st.text("aAbB<>+=01é", max_size=9), st.text("aAbB<>+=01é", max_size=9))
def test_similar_words_and_marks_in_words_give_back_their_target(word: str, target: str) -> None:
    assert apply_script(word, make_script(word, target)) == target


@pytest.mark.parametrize(
    ("script", "pairs"),
    [
        ("keep", ["NASA NASA", "Paris Paris", "iPhone iPhone"]),
        ("lower", ["dog dog", "The the", "the the", ". ."]),
        ("lower", ["The the", "AND and", "A a"]),
        ("title", ["iraq Iraq", "PARIS Paris"]),
        ("upper", ["nasa NASA", "Usa USA"]),
        ("lower>2", ["walked walk", "jumped jump", "Jumped jump", "YELLED yell"]),
        ("lower>1", ["houses house", "Houses house", "dogs dog"]),
        ("keep>1", ["Americans American", "PCs PC"]),
        ("title>1", ["AMERICANS American", "beatles Beatle"]),
        ("lower>3+y", ["cries cry", "Flies fly"]),
        ("lower<2>1+en", ["gekauft kaufen", "gesucht suchen"]),
        ("lower<2", ["unhappy happy"]),
        ("lower<0+un", ["happy unhappy"]),
        ("=be", ["is be", "was be", "are be", "'m be"]),
        ("=go", ["went go"]),
        ("=good", ["better good", "best good"]),
    ],
)
def test_words_that_change_alike_share_a_script(script: str, pairs: list[str]) -> None:
    assert {make_script(*pair.split()) for pair in pairs} == {script}


@pytest.mark.parametrize(
    ("word", "script", "target"),
    [
        ("tried", "lower>3+y", "try"),
        ("Tried", "keep>3+y", "Try"),
        ("is", "lower>2", None),
        ("is", "lower<1>1+x", None),
        ("", "lower>1", None),
        ("", "keep", ""),
        ("word", "=", ""),
        ("word", "", None),
        ("word", "_", None),
        ("word", "keep>", None),
        ("word", "keep>-1", None),
        ("word", "keep>٣", None),
        ("word", "swap>1", None),
        ("word", "keep>1 ", None),
        ("word", "keep>999999999", None),
        ("word", "keep>" + "9" * 9999, None),
    ],
)
def test_a_script_that_does_not_fit_its_word_gives_none(word: str, script: str, target: str | None) -> None:
    assert apply_script(word, script) == target


@given(st.text(), st.one_of(st.text(), st.text("keplowr<>+=12")))
def test_no_script_raises(word: str, script: str) -> None:
    assert isinstance(apply_script(word, script), str | None)


def test_scripts_are_printable_where_their_target_is() -> None:
    for word, target in [("tab\tbed", "tabbed"), ("new\nline", "newline"), ("a\x00b", "ab")]:
        assert make_script(word, target).isprintable()


@pytest.mark.parametrize("length", [64, 65, 100_000])
def test_long_words_are_rewritten_too(length: int) -> None:
    generator = random.Random(length)
    word, target = ("".join(generator.choices("ab", k=length)) for _ in range(2))
    assert apply_script(word, make_script(word, target)) == target


@pytest.mark.parametrize(("added", "script"), [("s", "lower>1"), ("", "lower<1")])
def test_long_words_keep_their_beginning_or_end(added: str, script: str) -> None:
    stem = "ab" * 500
    assert make_script(stem + added if added else "x" + stem, stem) == script


def test_doctests_hold() -> None:
    assert doctest.testmod(edit_script).failed == 0
