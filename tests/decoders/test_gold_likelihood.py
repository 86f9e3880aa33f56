"""Likelihoods of label sequences and trees at any temperature, and what is predicted below a confidence."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from task_type_cases import CASES, Case, Setting
from torch import Tensor

from machamp_lite.data.span_schemes import BIO
from machamp_lite.decoders.gold_likelihood import GoldLikelihood, PathLikelihood, TreeLikelihood, span_queries
from machamp_lite.inference.calibration import fit_temperature, gold_likelihood, negative_log_likelihood
from machamp_lite.inference.engine import predict_labels, score_batches
from machamp_lite.nn.crf import LinearChainCRF

NAMES = ["O", "B-a", "I-a", "B-b"]
SEQ_BIO, DEPENDENCY = (next(case for case in CASES if case.task_type == name) for name in ("seq_bio", "dependency"))


def path_likelihood(*, scale: float, sentences: int = 300) -> PathLikelihood:
    """Of paths that are drawn from a CRF whose scores are then multiplied by ``scale``."""
    torch.manual_seed(4)
    crf = LinearChainCRF(NAMES)
    torch.nn.init.normal_(crf.transitions)
    emissions, lengths = torch.randn(sentences, 3, len(NAMES)), torch.full((sentences,), 3)
    paths = torch.cartesian_prod(*[torch.arange(4)] * 3)
    kept = paths[crf.is_well_formed(paths, torch.full((len(paths),), 3))]
    sizes = torch.full((len(kept),), 3)
    scores = torch.stack([crf.score(one.expand(len(kept), -1, -1), kept, sizes) for one in emissions])
    gold = kept[torch.multinomial(scores.softmax(-1), 1).squeeze(1)]
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter *= scale
    labels = [[NAMES[label] for label in path] for path in gold.tolist()]
    return PathLikelihood(crf, emissions * scale, gold, lengths, labels=labels, names=NAMES, scheme=BIO)


def tree_likelihood(*, scale: float, sentences: int = 300) -> TreeLikelihood:
    """Of trees of two words that are drawn from their distribution; the scores are then multiplied by ``scale``."""
    torch.manual_seed(5)
    arcs = torch.randn(sentences, 2, 3) * 2
    trees = torch.tensor([[0, 1], [2, 0]])
    sums = torch.stack([arcs[:, [0, 1], heads].sum(1) for heads in trees.tolist()], 1)
    heads = trees[torch.multinomial(sums.softmax(-1), 1).squeeze(1)]
    relation_scores = torch.randn(2 * sentences, 3)
    relations = torch.multinomial(relation_scores.softmax(-1), 1).squeeze(1)
    return TreeLikelihood(
        arcs * scale,
        heads,
        torch.full((sentences,), 2),
        relation_scores=relation_scores * scale,
        relations=relations,
    )


every_likelihood = pytest.mark.parametrize("make_likelihood", [path_likelihood, tree_likelihood])


@every_likelihood
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_is_that_of_the_data_and_has_the_lowest_loss(
    make_likelihood: Callable[..., GoldLikelihood], scale: float
) -> None:
    likelihood = make_likelihood(scale=scale)
    temperature = fit_temperature([likelihood])
    assert temperature == pytest.approx(scale, rel=0.2)
    best = negative_log_likelihood([likelihood], 1 / temperature)
    for other in (0.9, 1.1):
        assert best < negative_log_likelihood([likelihood], other / temperature)


@every_likelihood
@pytest.mark.parametrize("inverse", [0.3, 1.0, 2.0])
def test_the_slope_is_the_derivative_of_the_loss(
    make_likelihood: Callable[..., GoldLikelihood], inverse: float
) -> None:
    likelihood = make_likelihood(scale=1.0, sentences=20)
    loss, step = likelihood.loss(inverse), 1e-2
    around = [likelihood.loss(inverse + sign * step).total for sign in (1, -1)]
    assert loss.slope == pytest.approx((around[0] - around[1]) / (2 * step), rel=1e-2)


def test_unknown_partial_and_malformed_gold_has_no_loss_but_is_measured() -> None:
    whole = path_likelihood(scale=1.0, sentences=4)
    gold = whole.gold.clone()
    gold[0, 1], gold[1] = -1, torch.tensor([0, 2, 2])
    labels = [[None if label < 0 else NAMES[label] for label in path] for path in gold.tolist()]
    parts: dict[str, Any] = {"labels": labels, "names": NAMES, "scheme": BIO}
    changed = PathLikelihood(whole.crf, whole.emissions, gold, whole.lengths, **parts)
    kept = PathLikelihood(
        whole.crf, whole.emissions[2:], whole.gold[2:], whole.lengths[2:], **{**parts, "labels": labels[2:]}
    )
    assert changed.loss(1.0) == pytest.approx(kept.loss(1.0)) and changed.items == 11
    assert len(changed.probabilities(1.0)[0]) >= len(kept.probabilities(1.0)[0])


def batches(setting: Setting) -> Iterator[tuple[Any, Any]]:
    for _, batch, scores in score_batches(setting.model, setting.data.dev["DATA"]):
        yield batch, scores["task"]


def shaken(setting: Setting) -> Setting:
    torch.manual_seed(3)
    for parameter in setting.model.decoders.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return setting


@pytest.mark.parametrize("case", [SEQ_BIO, DEPENDENCY], ids=lambda case: case.task_type)
def test_the_likelihood_of_a_batch_is_that_of_its_sentences(make: Callable[..., Setting], case: Case) -> None:
    setting = shaken(make(case))
    totals = []
    for size in (100, 1):
        losses, probabilities = [], []
        for _, batch, scores in score_batches(setting.model, setting.data.dev["DATA"], batch_size=size):
            likelihood = gold_likelihood(setting.model, batch, "task", scores["task"])
            assert likelihood is not None
            losses.append(likelihood.loss(0.7))
            found, targets = likelihood.probabilities(1.5)
            probabilities += [*zip(found.max(1).values.tolist(), targets.max(1).values.tolist(), strict=True)]
        totals.append((*np.array(losses).sum(0), *np.array(sorted(probabilities)).flatten()))
    assert totals[0] == pytest.approx(totals[1], abs=1e-4)


def test_spans_below_the_minimum_are_outside_and_no_other_label_changes(make: Callable[..., Setting]) -> None:
    setting = shaken(make(SEQ_BIO))
    decoder: Any = setting.model.decoder("task")
    (batch, scores), *_ = batches(setting)
    plain = decoder.decode(scores, [example.words for example in batch.examples])
    spans = [(number, span) for number, labels in enumerate(plain) for span in BIO.spans(labels)]
    queries = span_queries(spans, decoder.vocabulary.labels, BIO)
    values = decoder.crf.span_probabilities(*scores, queries).tolist()
    assert len(values) > 2
    limit = sorted(values)[len(values) // 2]
    decoder.config = decoder.config.model_copy(update={"min_confidence": limit})
    expected = [list(labels) for labels in plain]
    for (number, (start, end, _)), value in zip(spans, values, strict=True):
        if value < limit:
            expected[number][start:end] = ["O"] * (end - start)
    assert expected != plain
    assert decoder.decode(scores, [example.words for example in batch.examples]) == expected
    # One sentence at a time gives the same.
    examples = setting.data.dev["DATA"]
    alone = [dict(predict_labels(setting.model, [example]))[0]["task"] for example in examples]
    together = dict(predict_labels(setting.model, examples))
    assert alone == [together[number]["task"] for number in range(len(examples))]


def test_heads_are_ranked_by_the_probability_of_trees(make: Callable[..., Setting]) -> None:
    setting = shaken(make(DEPENDENCY))
    decoder: Any = setting.model.decoder("task")
    for batch, scores in batches(setting):
        words = [example.words for example in batch.examples]
        before = decoder.rank(scores, words, top_n=2)
        decoder.config = decoder.config.model_copy(update={"temperature": 50.0})
        after = decoder.rank(scores, words, top_n=2)
        for one, other, sentence in zip(before, after, words, strict=True):
            roots: Tensor = torch.tensor([sum(p for head, p in heads if head == 0) for heads, _ in one])
            assert float(roots.sum()) <= 1 + 1e-4
            assert [heads[0][0] for heads, _ in one] == [heads[0][0] for heads, _ in other]
            assert len(sentence) == 1 or max(heads[0][1] for heads, _ in other) < max(heads[0][1] for heads, _ in one)
