"""A conditional random field agrees with the enumeration of all its paths, and always follows its scheme."""

from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from machamp_lite.data.span_schemes import SCHEMES, Scheme
from machamp_lite.nn.crf import LinearChainCRF, SpanQuery
from machamp_lite.weighting.path_losses import MarginObjective

BIO = ["O", "B-a", "I-a", "B-b", "I-b"]
OTHER_SCHEMES = {
    "IOB1": ["O", "I-a", "B-a", "I-b"],
    "BIOES": ["O", "B-a", "E-a", "S-b"],
    "BILOU": ["L-a", "I-a", "B-a", "O"],
    "IOE2": ["O", "I-a", "E-a", "E-b"],
}
LABEL_SETS = {
    "bio": BIO,
    "no outside": ["B-a", "I-a"],
    "other marks": ["_", "I-a", "S-a", "B-a"],
    "bare marks": ["I", "O", "B", "I-a"],
    "an I that no B opens": ["I-a", "O", "B-b"],
    **OTHER_SCHEMES,
}
every_label_set = pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=LABEL_SETS)


def scheme_of(labels: list[str]) -> Scheme:
    return SCHEMES[next((name for name, own in OTHER_SCHEMES.items() if own == labels), "BIO")]


def random_crf(labels: list[str], *, seed: int = 0) -> LinearChainCRF:
    torch.manual_seed(seed)
    crf = LinearChainCRF(labels, scheme_of(labels))
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


def well_formed(names: list[str], scheme: Scheme) -> bool:
    """Whether each label with a mark of the scheme is in a span, by the spans that the metric sees."""
    inside = sum(end - start for start, end, _ in scheme.spans(names))
    return inside == sum(name.partition("-")[0] in scheme.marks for name in names)


def all_paths(labels: list[str], words: int) -> list[tuple[int, ...]]:
    return list(product(range(len(labels)), repeat=words))


def paths_in_scheme(labels: list[str], words: int) -> list[tuple[int, ...]]:
    scheme = scheme_of(labels)
    return [
        path for path in all_paths(labels, words) if well_formed([labels[number] for number in path], scheme)
    ]


def score_by_hand(crf: LinearChainCRF, emissions: Tensor, path: tuple[int, ...]) -> Tensor:
    """The sum of a path's scores; a transition that violates the scheme has none."""
    steps = pairwise([len(crf.ends), *path])
    parts = [crf.transitions[step] for step in steps if crf.allowed[step]]
    parts += [crf.ends[path[-1]]] if crf.may_end[path[-1]] else []
    parts += [scores[number] for scores, number in zip(emissions, path, strict=True)]
    return torch.stack(parts).sum()


def batch_of_one(crf: LinearChainCRF, emissions: Tensor, path: tuple[int, ...]) -> tuple[Tensor, ...]:
    return emissions[None], torch.tensor([path]), torch.tensor([len(path)])


def ragged_batch(labels: list[str], *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Emissions, random labels and lengths of some sentences, one of which has one word."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([4, 1, 7, 2, 7, 3])
    emissions = torch.randn(len(lengths), 7, len(labels), generator=generator)
    return emissions, torch.randint(len(labels), (len(lengths), 7), generator=generator), lengths


@every_label_set
@pytest.mark.parametrize("words", [1, 2, 4])
def test_the_partition_is_the_sum_over_all_paths_in_the_scheme(labels: list[str], words: int) -> None:
    crf, emissions = random_crf(labels), torch.randn(words, len(labels))
    scores = torch.stack([score_by_hand(crf, emissions, path) for path in paths_in_scheme(labels, words)])
    found = crf.log_partition(emissions[None], torch.tensor([words]))
    torch.testing.assert_close(found, scores.logsumexp(0, keepdim=True))


@every_label_set
@pytest.mark.parametrize("words", [1, 2, 4])
@pytest.mark.parametrize("seed", range(5))
def test_no_path_in_the_scheme_scores_more_than_the_decoded_one(
    labels: list[str], words: int, seed: int
) -> None:
    crf, emissions = random_crf(labels, seed=seed).requires_grad_(False), torch.randn(words, len(labels))
    best = max(paths_in_scheme(labels, words), key=lambda path: float(score_by_hand(crf, emissions, path)))
    assert crf.viterbi(emissions[None], torch.tensor([words])).tolist() == [list(best)]


@every_label_set
@pytest.mark.parametrize("words", [1, 3])
def test_every_path_is_scored_as_by_hand_and_checked_against_the_scheme(
    labels: list[str], words: int
) -> None:
    crf, emissions = random_crf(labels), torch.randn(words, len(labels))
    for path in all_paths(labels, words):
        one, gold, length = batch_of_one(crf, emissions, path)
        expected = score_by_hand(crf, emissions, path)
        torch.testing.assert_close(crf.score(one, gold, length), expected[None])
        is_well_formed = well_formed([labels[number] for number in path], scheme_of(labels))
        assert crf.is_well_formed(gold, length).tolist() == [is_well_formed]


@pytest.mark.parametrize("words", [1, 3])
def test_probabilities_of_all_paths_in_the_scheme_sum_to_one(words: int) -> None:
    crf, paths = random_crf(BIO), torch.tensor(paths_in_scheme(BIO, words))
    emissions, lengths = torch.randn(words, len(BIO)).expand(len(paths), -1, -1), torch.tensor([words])
    losses = crf.negative_log_likelihood(emissions, paths, lengths.expand(len(paths)))
    assert (-losses).exp().sum().item() == pytest.approx(1.0, rel=1e-5)


@every_label_set
def test_the_loss_is_that_of_the_gold_path_among_itself_and_the_paths_in_the_scheme(labels: list[str]) -> None:
    crf, emissions = random_crf(labels), torch.randn(3, len(labels))
    for gold in all_paths(labels, 3):
        paths = {*paths_in_scheme(labels, 3), gold}
        scores = torch.stack([score_by_hand(crf, emissions, path) for path in paths])
        expected = scores.logsumexp(0) - score_by_hand(crf, emissions, gold)
        found = crf.negative_log_likelihood(*batch_of_one(crf, emissions, gold))
        torch.testing.assert_close(found, expected[None], rtol=1e-4, atol=1e-5)


@every_label_set
@pytest.mark.parametrize("words", [1, 2, 4])
def test_the_mean_loss_is_that_of_all_paths_in_the_scheme(labels: list[str], words: int) -> None:
    crf, emissions = random_crf(labels), torch.randn(words, len(labels), requires_grad=True)
    paths = paths_in_scheme(labels, words)
    scores = torch.stack([score_by_hand(crf, emissions, path) for path in paths])
    expected = scores.logsumexp(0) - scores.mean()
    found = crf.mean_negative_log_likelihood(emissions[None], torch.tensor([words]))
    torch.testing.assert_close(found, expected[None])
    inputs = [emissions, crf.transitions, crf.ends]
    for own, other in zip(
        torch.autograd.grad(found.sum(), inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)


def test_the_mean_loss_of_a_batch_is_that_of_its_sentences_alone() -> None:
    crf = random_crf(BIO)
    emissions, _, lengths = ragged_batch(BIO)
    together = crf.mean_negative_log_likelihood(emissions, lengths)
    for place, length in enumerate(lengths.tolist()):
        one = crf.mean_negative_log_likelihood(emissions[place : place + 1, :length], lengths[place : place + 1])
        torch.testing.assert_close(together[place : place + 1], one)


@pytest.mark.parametrize("with_margins", [False, True])
def test_losses_of_any_gold_labels_are_finite_and_not_negative_with_finite_gradients(
    with_margins: bool,
) -> None:
    for labels in LABEL_SETS.values():
        crf = random_crf(labels)
        emissions, gold, lengths = ragged_batch(labels)
        emissions = (100 * emissions).requires_grad_()
        margins = MarginObjective(weights=[0.0, 5.0, *[1.0] * len(labels[2:])], counts=[1] * len(labels))
        losses = crf.negative_log_likelihood(
            emissions, gold, lengths, margins=margins(gold) if with_margins else None
        )
        losses.sum().backward()
        assert losses.isfinite().all() and (losses > -1e-3).all()
        assert all(one.grad.isfinite().all() for one in (emissions, *crf.parameters()))


def test_ill_formed_gold_trains_emissions_but_no_transitions_that_violate_the_scheme() -> None:
    crf, gold = random_crf(["O", "B-a", "I-a"]), torch.tensor([[0, 2, 2]])
    emissions, length = torch.zeros(1, 3, 3, requires_grad=True), torch.tensor([3])
    crf.negative_log_likelihood(emissions, gold, length).sum().backward()
    assert (emissions.grad.gather(2, gold.unsqueeze(2)) < 0).all()
    assert (crf.transitions.grad[~crf.allowed] == 0).all()


def test_a_batch_gives_what_its_sentences_give_alone_and_padding_does_not_matter() -> None:
    crf = random_crf(BIO)
    emissions, gold, lengths = ragged_batch(BIO)
    is_word = torch.arange(7) < lengths.unsqueeze(1)
    margins = torch.rand(gold.shape)
    for padding, label in ((0.0, 0), (1e4, 3), (-1e4, 4)):
        filled = emissions.masked_fill(~is_word.unsqueeze(2), padding).requires_grad_()
        labels = gold.masked_fill(~is_word, label)
        together = crf.negative_log_likelihood(filled, labels, lengths, margins=margins)
        paths = crf.viterbi(filled, lengths)
        together.sum().backward()
        assert (filled.grad[~is_word] == 0).all()
        for place, length in enumerate(lengths.tolist()):
            one = slice(place, place + 1), slice(length)
            single = crf.negative_log_likelihood(
                emissions[one], gold[one], lengths[one[0]], margins=margins[one]
            )
            torch.testing.assert_close(together[one[0]], single)
            assert torch.equal(paths[one], crf.viterbi(emissions[one], lengths[one[0]]))


@every_label_set
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6])
def test_decoded_paths_are_always_well_formed(labels: list[str], scale: float) -> None:
    for seed in range(5):
        crf = random_crf(labels, seed=seed)
        emissions = scale * torch.randn(40, 12, len(labels))
        lengths = torch.randint(1, 13, (40,))
        for path, length in zip(crf.viterbi(emissions, lengths).tolist(), lengths.tolist(), strict=True):
            assert well_formed([labels[number] for number in path[:length]], scheme_of(labels))


def test_margins_raise_all_labels_but_the_gold_one_by_its_weight() -> None:
    crf, emissions, weights = random_crf(BIO), torch.randn(3, len(BIO)), [0.5, 4.0, 2.0, 8.0, 1.0]
    margins = MarginObjective(weights=weights, counts=[1] * 5)
    logs = margins.weights.log()
    for gold in paths_in_scheme(BIO, 3):
        scores = [
            score_by_hand(crf, emissions, path)
            + sum(logs[right] for right, number in zip(gold, path, strict=True) if right != number)
            for path in paths_in_scheme(BIO, 3)
        ]
        expected = torch.stack(scores).logsumexp(0) - score_by_hand(crf, emissions, gold)
        one, path, length = batch_of_one(crf, emissions, gold)
        found = crf.negative_log_likelihood(one, path, length, margins=margins(path))
        torch.testing.assert_close(found, expected[None], rtol=1e-4, atol=1e-5)


def test_words_of_weight_0_have_no_gradient_by_themselves() -> None:
    crf = random_crf(BIO)
    emissions, gold = torch.randn(1, 4, len(BIO), requires_grad=True), torch.tensor([[0, 1, 0, 3]])
    margins = MarginObjective(weights=[0.0, 1.0, 1.0, 1.0, 1.0], counts=[2, 1, 1, 1, 1])(gold)
    crf.negative_log_likelihood(emissions, gold, torch.tensor([4]), margins=margins).sum().backward()
    assert (emissions.grad[gold == 0].abs() < 1e-6).all()
    assert (emissions.grad[gold != 0].abs() > 1e-2).any()


def rare_and_common_spans(sentences: int, *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy observations and gold labels of sentences of six words; half have a span a, 10% have a span b."""
    generator = torch.Generator().manual_seed(seed)
    sampling_weights = torch.rand(sentences, generator=generator).tolist()
    starts = torch.randint(5, (sentences,), generator=generator).tolist()
    gold = torch.zeros(sentences, 6, dtype=torch.long)
    for row, (chance, start) in enumerate(zip(sampling_weights, starts, strict=True)):
        if chance < 0.6:
            kind = "b" if chance < 0.1 else "a"
            gold[row, start : start + 2] = torch.tensor([BIO.index(f"B-{kind}"), BIO.index(f"I-{kind}")])
    noise = torch.randn(sentences, 6, len(BIO), generator=generator)
    return torch.nn.functional.one_hot(gold, len(BIO)) + 0.7 * noise, gold, torch.full((sentences,), 6)


def recall_of_rare_spans(weights: list[float] | None, counts: list[int]) -> float:
    torch.manual_seed(0)
    scores, crf = torch.nn.Linear(len(BIO), len(BIO)), LinearChainCRF(BIO)
    margins = MarginObjective(weights=weights, counts=counts)
    optimizer = torch.optim.Adam([*scores.parameters(), *crf.parameters()], lr=0.05)
    observed, gold, lengths = rare_and_common_spans(300, seed=1)
    for _ in range(200):
        optimizer.zero_grad()
        losses = crf.negative_log_likelihood(scores(observed), gold, lengths, margins=margins(gold))
        (losses.sum() / gold.numel()).backward()
        optimizer.step()
    observed, gold, lengths = rare_and_common_spans(1000, seed=2)
    found = crf.viterbi(scores(observed), lengths)
    return float((found == gold)[gold == BIO.index("B-b")].float().mean())


def test_weights_raise_the_recall_of_a_rare_label() -> None:
    counts = rare_and_common_spans(300, seed=1)[1].flatten().bincount().tolist()
    balanced = [sum(counts) / (len(counts) * count) for count in counts]
    plain = recall_of_rare_spans(None, counts)
    assert recall_of_rare_spans([1.0] * 5, counts) == plain
    assert recall_of_rare_spans(balanced, counts) > plain + 0.1


@every_label_set
def test_marginals_are_sums_over_all_paths(labels: list[str]) -> None:
    crf = random_crf(labels)
    emissions, _, lengths = ragged_batch(labels)
    with torch.inference_mode():
        marginals = crf.marginals(emissions.clone(), lengths.clone())
    assert not marginals.requires_grad
    for sentence, length in enumerate(lengths.tolist()):
        expected = torch.zeros(length, len(labels))
        for path in paths_in_scheme(labels, length):
            weight = score_by_hand(crf, emissions[sentence, :length], path).exp()
            expected[range(length), path] += weight.detach()
        expected /= expected.sum(1, keepdim=True)
        torch.testing.assert_close(marginals[sentence, :length], expected, rtol=1e-4, atol=1e-6)


def partial_loss_by_hand(
    crf: LinearChainCRF, labels: list[str], emissions: Tensor, gold: list[int], margins: Tensor | None
) -> Tensor:
    """-log of the share of paths that agree with the labels; -1 is no label."""
    words = len(gold)
    agreeing = [path for path in all_paths(labels, words) if all(g in (-1, p) for g, p in zip(gold, path, strict=True))]
    in_scheme = paths_in_scheme(labels, words)
    sums = {}
    for path in {*agreeing, *in_scheme}:
        wrong = [word for word in range(words) if gold[word] not in (-1, path[word])]
        score = score_by_hand(crf, emissions, path)
        sums[path] = score if margins is None else score + margins[wrong].sum()
    in_both = [path for path in agreeing if path in in_scheme]
    if not in_both:
        everything = torch.stack([sums[path] for path in {*in_scheme, *agreeing}]).logsumexp(0)
        return everything - torch.stack([sums[path] for path in agreeing]).logsumexp(0)
    total = torch.stack([sums[path] for path in in_scheme]).logsumexp(0)
    return total - torch.stack([sums[path] for path in in_both]).logsumexp(0)


@every_label_set
@pytest.mark.parametrize("words", [1, 2, 3])
@pytest.mark.parametrize("has_margins", [False, True])
def test_the_loss_of_partial_labels_sums_over_all_paths_that_agree(
    labels: list[str], words: int, has_margins: bool
) -> None:
    crf, emissions = random_crf(labels), torch.randn(words, len(labels))
    paths = list(product(range(-1, len(labels)), repeat=words))
    margins = torch.rand(words) if has_margins else None
    gold = torch.tensor(paths)
    every = None if margins is None else margins.expand(len(paths), -1).masked_fill(gold < 0, 0.0)
    found = crf.partial_negative_log_likelihood(
        emissions.expand(len(paths), -1, -1), gold, torch.full((len(paths),), words), margins=every
    )
    expected = torch.stack([partial_loss_by_hand(crf, labels, emissions, list(path), margins) for path in paths])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@every_label_set
def test_the_loss_of_partial_labels_is_the_plain_one_if_all_are_known(labels: list[str]) -> None:
    crf = random_crf(labels)
    emissions, gold, lengths = ragged_batch(labels)
    emissions.requires_grad_()
    plain, partial = (
        loss(emissions, gold, lengths, margins=torch.rand(gold.shape, generator=torch.Generator().manual_seed(1)))
        for loss in (crf.negative_log_likelihood, crf.partial_negative_log_likelihood)
    )
    torch.testing.assert_close(partial, plain, rtol=1e-4, atol=1e-4)
    inputs = [emissions, *crf.parameters()]
    grads = [torch.autograd.grad(loss.sum(), inputs, retain_graph=True) for loss in (plain, partial)]
    for expected, found in zip(*grads, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@every_label_set
def test_gradients_of_partial_labels_are_finite(labels: list[str]) -> None:
    crf = random_crf(labels)
    emissions, gold, lengths = ragged_batch(labels)
    emissions.requires_grad_()
    gold[torch.rand(gold.shape, generator=torch.Generator().manual_seed(2)) < 0.5] = -1
    # A sentence without any label has the loss 0.
    gold[0] = -1
    losses = crf.partial_negative_log_likelihood(emissions, gold, lengths)
    assert losses[0].item() == pytest.approx(0.0, abs=1e-5)
    for gradient in torch.autograd.grad(losses.sum(), [emissions, *crf.parameters()]):
        assert gradient.isfinite().all()


def first_labels(labels: list[str], kind: str) -> set[int]:
    marks = scheme_of(labels).marks
    return {
        number for number, label in enumerate(labels) if label.partition("-")[::2] in {(mark, kind) for mark in marks}
    }


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@every_label_set
def test_probabilities_of_spans_are_sums_over_the_paths_with_exactly_these_spans(
    labels: list[str], temperature: float
) -> None:
    crf, lengths = random_crf(labels), torch.tensor([4, 1, 3])
    emissions = torch.randn(3, 4, len(labels))
    expected: dict[tuple[int, int, int, str], float] = {}
    for sentence, length in enumerate(lengths.tolist()):
        paths = paths_in_scheme(labels, length)
        scores = [score_by_hand(crf, emissions[sentence, :length], path) / temperature for path in paths]
        for path, weight in zip(paths, torch.stack(scores).softmax(0).tolist(), strict=True):
            for span in scheme_of(labels).spans([labels[number] for number in path]):
                expected[sentence, *span] = expected.get((sentence, *span), 0.0) + weight
    queries = [SpanQuery(*key[:3], first_labels(labels, key[3])) for key in expected]
    found = crf.span_probabilities(emissions, lengths, queries, temperature=temperature)
    assert found.tolist() == pytest.approx(list(expected.values()), abs=1e-5)
    alone = [
        crf.span_probabilities(emissions[[key[0]], : lengths[key[0]]], lengths[[key[0]]], [query._replace(sentence=0)])
        for key, query in zip(expected, queries, strict=True)
    ]
    together = crf.span_probabilities(emissions, lengths, queries)
    assert torch.cat(alone).tolist() == pytest.approx(together.tolist(), abs=1e-6)
    assert crf.span_probabilities(emissions, lengths, []).shape == (0,)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_a_temperature_divides_all_scores(temperature: float) -> None:
    crf, lengths, emissions = random_crf(BIO), torch.tensor([3, 2]), torch.randn(2, 3, 5)
    scaled = random_crf(BIO)
    with torch.no_grad():
        for parameter in scaled.parameters():
            parameter /= temperature
    path = crf.viterbi(emissions, lengths)
    marginals = crf.marginals(emissions, lengths, temperature=temperature)
    assert torch.allclose(marginals, scaled.marginals(emissions / temperature, lengths), atol=1e-5)
    found = crf.path_log_probabilities(emissions, path, lengths, temperature=temperature)
    assert torch.allclose(found, -scaled.negative_log_likelihood(emissions / temperature, path, lengths), atol=1e-5)
