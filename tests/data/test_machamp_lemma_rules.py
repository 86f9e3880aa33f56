"""The lemma rules of MaChAmp give the lemmas that they give there, for words that they fit and for others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machamp_lite.data.edit_script import apply_script, make_script
from machamp_lite.data.machamp_lemma_rules import apply_lemma_rule, is_lemma_rule

LEMMAS = [
    ("dogs", "↓0;d¦-", "dog"),
    ("Dogs", "↓0;d¦-", "dog"),
    ("flies", "↓0;d¦---+y", "fly"),
    ("geschrieben", "↓0;d--¦-→+i→→→", "schreiben"),
    ("men", "↓0;d¦-+a→", "man"),
    ("went", "↓0;ago", "go"),
    ("paris", "↑0¦↓1;d¦", "Paris"),
    ("nasa", "↑0;d¦", "NASA"),
    ("mcdonald", "↑0¦↓1¦↑2¦↓3;d¦", "McDonald"),
    ("iphone", "↓0¦↑1¦↓2;d¦", "iPhone"),
    ("abcd", "↓0¦↑-1;d¦", "abcD"),
    # Rules that do not fit.
    ("a", "↓0;d--¦", ""),
    ("A", "↑0;d→→→¦", "A"),
    ("AB", "↓0;d¦→→→", "abab"),
    ("ab", "↓0;d¦---", "a"),
]


@pytest.mark.parametrize(("word", "rule", "lemma"), LEMMAS)
def test_a_rule_gives_the_lemma(word: str, rule: str, lemma: str) -> None:
    assert is_lemma_rule(rule)
    assert apply_lemma_rule(word, rule) == lemma
    assert apply_script(word, rule) == lemma


NO_RULES = ["", "↓", "↓0", "↓x;d¦", "↓0;d", "↓0;x¦", "↓9999999999;d¦", ";d¦", "lower>2", "=↓0;d¦"]


@pytest.mark.parametrize("label", NO_RULES)
def test_other_labels_are_no_rules(label: str) -> None:
    assert not is_lemma_rule(label)


@given(word=st.text(), rule=st.from_regex(r"[↑↓]-?[0-9]{1,2}(¦[↑↓]-?[0-9])?;(a|d)[→+¦a-]{0,8}", fullmatch=True))
def test_every_rule_can_be_applied_to_every_word(word: str, rule: str) -> None:
    if is_lemma_rule(rule):
        assert isinstance(apply_lemma_rule(word, rule), str)


@given(word=st.text(), target=st.text())
def test_edit_scripts_are_no_rules(word: str, target: str) -> None:
    assert not is_lemma_rule(make_script(word, target))
