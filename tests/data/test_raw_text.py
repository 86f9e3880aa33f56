"""Words of raw text by the Unicode rules hold no white space, and the text can be rebuilt from them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machamp_lite.data.raw_text import split_at_white_space, split_at_word_boundaries

TEXTS = {
    "punctuation": ("Is this it? Stop this.", "Is this it ? Stop this ."),
    "contractions are one word": ("Don't, he’s l'art.", "Don't , he’s l'art ."),
    "brackets and quotes": ('“Hi,” (she) said: "no"', '“ Hi , ” ( she ) said : " no "'),
    "numbers": ("3.14 10,000 5% $7", "3.14 10,000 5 % $ 7"),
    "abbreviations": ("e.g. U.S.A.", "e.g . U.S.A ."),
    "hyphens": ("well-known snake_case", "well - known snake_case"),
    "hashtags": ("#MeToo @user", "# MeToo @ user"),
    "white space of every kind": ("a\u00a0b\u2028c \t d\u3000e", "a b c d e"),
    "emoji": (
        "hi\U0001f468\u200d\U0001f469\u200d\U0001f467!",
        "hi \U0001f468\u200d\U0001f469\u200d\U0001f467 !",
    ),
    "combining marks": ("cafe\u0301. \u0301", "cafe\u0301 . \u0301"),
    "characters that are not seen": ("x\u200by \u200b\u200bz a\u00adb", "x\u200b y \u200b\u200bz a\u00adb"),
    "Chinese": ("我很好。", "我 很 好 。"),
    "Japanese": ("カタカナを書く", "カタカナ を 書 く"),
    "Korean": ("한국어 문장입니다.", "한국어 문장입니다 ."),
    "Thai": ("สวัสดีครับ (ไทย)", "สวัสดีครับ ( ไทย )"),
    "Arabic": ("مرحبا، كيف؟", "مرحبا ، كيف ؟"),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS)
def test_words_of_many_scripts(text: str, expected: str) -> None:
    assert [text[start:end] for start, end in split_at_word_boundaries(text)] == expected.split(" ")


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(
        st.one_of(st.sampled_from("ab1.,'- \t\u00a0\u2028\u200b\u0301\u0e01\u3042猫"), st.characters())
    )
)
@pytest.mark.parametrize("split", [split_at_word_boundaries, split_at_white_space])
def test_words_are_all_of_a_text_but_its_white_space(split: object, text: str) -> None:
    spans = split(text)  # type: ignore[operator]
    words = [text[start:end] for start, end in spans]
    assert not any(character.isspace() for word in words for character in word)
    assert all(words)
    assert "".join(words) == "".join(text.split())
    assert spans == sorted(spans)
