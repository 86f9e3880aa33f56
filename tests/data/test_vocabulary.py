"""Only training data adds labels; what it never showed stays unknown."""

from hypothesis import given
from hypothesis import strategies as st

from machamp_lite.data.vocabulary import UNKNOWN, Vocabulary

labels = st.lists(st.sampled_from(["NOUN", "VERB", "_", "", "<unk>", "noun"]))


@given(seen=labels)
def test_ids_number_the_labels_in_the_order_in_which_they_were_seen(seen: list[str]) -> None:
    vocabulary = Vocabulary()
    ids = vocabulary.add(seen, items=1)
    assert vocabulary.labels == list(dict.fromkeys(seen))
    assert [vocabulary.labels[number] for number in ids] == seen
    assert vocabulary.counts == [seen.count(label) for label in vocabulary.labels]


@given(seen=labels, asked=labels)
def test_asking_adds_nothing_and_unseen_labels_are_unknown(seen: list[str], asked: list[str]) -> None:
    vocabulary = Vocabulary()
    vocabulary.add(seen, items=1)
    ids = vocabulary.ids(asked)
    assert [number == UNKNOWN for number in ids] == [label not in seen for label in asked]
    assert [label in vocabulary for label in asked] == [label in seen for label in asked]
    assert len(vocabulary) == len(set(seen))


def test_unknown_is_the_id_of_no_label() -> None:
    vocabulary = Vocabulary(["a", "b"])
    assert UNKNOWN not in range(len(vocabulary))


@given(seen=labels)
def test_a_vocabulary_is_rebuilt_from_its_labels_and_counts(seen: list[str]) -> None:
    first = Vocabulary()
    first.add(seen, items=1)
    second = Vocabulary(first.labels, first.counts)
    assert second.ids(seen) == first.ids(seen)
    second.add(["NEW"], items=1)
    assert "NEW" not in first
    assert second.ids(["NEW"]) == [len(first)]


def test_the_most_frequent_labels_come_first_and_ties_by_name() -> None:
    vocabulary = Vocabulary()
    vocabulary.add(["c", "a", "b", "b"], items=1)
    assert vocabulary.most_frequent() == [("b", 2), ("a", 1), ("c", 1)]
