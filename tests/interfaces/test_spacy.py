"""The component of spaCy: attributes of tokens, sentences, entities and categories are the predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.api.loading import load
from machamp_lite.api.prediction import Tree
from machamp_lite.api.predictor import Predictor
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.model.serialization import save_model
from machamp_lite.training.run import build_model, read_data, seed_everything

spacy = pytest.importorskip("spacy")
interface = pytest.importorskip("machamp_lite.interfaces.spacy")
Component, set_tree = interface.Component, interface._set_tree

TEXT = "The dogs don't  sleep. Who ran?"
TASKS = {
    "upos": {"task_type": "seq", "column_idx": 3},
    "xpos": {"task_type": "seq", "column_idx": 4},
    "feats": {"task_type": "seq", "column_idx": 5},
    "lemma": {"task_type": "string2string", "column_idx": 2},
    "ner": {"task_type": "seq_bio", "column_idx": 8},
    "tree": {"task_type": "dependency", "column_idx": 6},
    "mood": {"task_type": "classification", "column_idx": -1},
    "degree": {"task_type": "regression", "column_idx": -1},
}


@pytest.fixture
def folder(treebank: Path, write_config: Callable[..., str], tiny_params: str, tmp_path: Path) -> Path:
    """An untrained model with many tasks."""
    data = {"train_data_path": str(treebank), "word_idx": 1, "tasks": TASKS}
    config = load_config([write_config(UD=data)], parameters_config=tiny_params)
    seed_everything(3)
    save_model(build_model(config, read_data(config)), tmp_path / "model")
    return tmp_path / "model"


def test_a_doc_has_what_is_predicted(folder: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("machamp_lite", config={"model": str(folder), "device": "cpu"})
    doc = nlp(TEXT)
    words = [token for token in doc if not token.is_space]
    assert len(words) == len(doc) - 1
    parts = [[token for token in words if token.i < 7], [token for token in words if token.i >= 7]]
    sentences = [tuple(token.text for token in part) for part in parts]
    assert sentences == [("The", "dogs", "do", "n't", "sleep", "."), ("Who", "ran", "?")]
    model = load(folder, device="cpu")
    found = model.predict(sentences)
    position = 0
    spans = []
    for prediction in found:
        own = words[position : position + len(prediction.tokens)]
        labels: Any = prediction.labels
        assert [token.pos_ for token in own] == list(labels["upos"])
        assert [token.tag_ for token in own] == list(labels["xpos"])
        assert [token.lemma_ for token in own] == list(labels["lemma"])
        assert [str(token.morph) or "_" for token in own] == list(labels["feats"])
        heads = [0 if token.head == token else own.index(token.head) + 1 for token in own]
        assert tuple(heads) == prediction.heads["tree"]
        assert [token.dep_.lower() for token in own] == [relation.lower() for relation in labels["tree"]]
        spans += [(own[span.start].i, own[span.end - 1].i + 1, span.label) for span in prediction.spans["ner"]]
        position += len(own)
    assert [(span.start, span.end, span.label_) for span in doc.ents] == spans
    assert [(span.start, span.end, span.label_) for span in doc.spans["ner"]] == spans
    assert len(list(doc.sents)) == 2
    whole = model.predict(tuple(token.text for token in words), tasks=["mood", "degree"], top_k=9)
    moods = {f"mood:{label}": value for label, value in whole.probabilities["mood"].items()}
    assert doc.cats == pytest.approx({**moods, "degree": whole.labels["degree"]})
    assert [one.words for one in doc._.machamp_lite[1:]] == sentences


def test_white_space_belongs_to_the_word_before_it() -> None:
    words, spaces = ["\n", "\n", "The", " ", "dogs", "\n", "\n", "sleep", "\n"], [False] * 9
    doc = spacy.tokens.Doc(spacy.blank("en").vocab, words=words, spaces=spaces)
    set_tree(doc, [([2, 4, 7], Tree((2, 3, 0), ("det", "nsubj", "root")))])
    assert [token.head.i for token in doc] == [2, 2, 4, 2, 7, 4, 4, 7, 7]
    assert [token.dep_ for token in doc if not token.is_space] == ["det", "nsubj", "ROOT"]


def test_docs_in_a_pipe_are_docs_alone(folder: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("machamp_lite", config={"model": str(folder), "device": "cpu"})
    texts = [TEXT, "", " ", "Run", "The old dogs ran."]
    for alone, doc in zip(map(nlp, texts), nlp.pipe(texts), strict=True):
        assert [token.pos_ for token in alone] == [token.pos_ for token in doc]
        assert [token.head.i for token in alone] == [token.head.i for token in doc]
        assert alone.cats == pytest.approx(doc.cats)
        # Without a component for sentences, each doc is one.
        assert len(list(doc.sents)) <= 1


def test_a_model_of_texts_sets_categories(
    pairs: Path, write_config: Callable[..., str], tiny_params: str
) -> None:
    tasks = {"topics": {"task_type": "multiclas", "column_idx": 3}}
    data = {"train_data_path": str(pairs), "sent_idxs": [0], "tasks": tasks}
    config = load_config([write_config(TEXTS=data)], parameters_config=tiny_params)
    model = Predictor(build_model(config, read_data(config)))
    doc = Component(model)(spacy.blank("en")("a dog sleeps"))
    assert doc.cats.keys() == set(model.labels["topics"])


def test_spans_in_a_column_of_conllu_are_entities(
    treebank: Path, write_config: Callable[..., str], tiny_params: str
) -> None:
    tasks = {"ner": {"task_type": "seq_bio", "column_idx": 3}}
    data = {"train_data_path": str(treebank), "word_idx": 1, "tasks": tasks}
    config = load_config([write_config(UD=data)], parameters_config=tiny_params)
    doc = Component(Predictor(build_model(config, read_data(config))))(spacy.blank("en")("The dogs ran ."))
    assert "ner" in doc.spans and not any(token.pos_ for token in doc)


def test_wrong_attributes_are_reported(folder: Path) -> None:
    model = load(folder, device="cpu")
    with pytest.raises(ConfigError, match="attributes: unknown task 'uposs'; did you mean 'upos'"):
        Component(model, attributes={"uposs": "tag"})
    with pytest.raises(ConfigError, match="attributes -> upos: found 'tags'; did you mean 'tag'"):
        Component(model, attributes={"upos": "tags"})
    with pytest.raises(ConfigError, match="which spaCy does not have as pos"):
        Component(model, attributes={"ner": "pos"})(spacy.blank("en")("The dogs ran ."))
    with pytest.raises(ConfigError, match="model: is missing"):
        spacy.blank("en").add_pipe("machamp_lite")
