"""A linear-chain conditional random field (Lafferty et al. 2001) over the labels of a span scheme such as BIO."""

from collections.abc import Container, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.data.span_schemes import BIO, EDGE, Scheme
from machamp_lite.nn.ragged import is_item, to_device

# The score of a transition that violates the scheme: lower than that of any valid path, but finite, so that labels
# in no valid path have gradients of 0 and not NaN.
FORBIDDEN = -1e30


class SpanQuery(NamedTuple):
    """A span: the index of its sentence, its first word, the word after its last one, and the ids of first labels."""

    sentence: int
    start: int
    end: int
    first_labels: Container[int]


class LinearChainCRF(nn.Module):
    """Scores paths of labels; finds the best of all paths that follow the scheme, and the sum over them.

    The score of a path is the sum of its emissions, transitions and end score. Labels without a prefix of the scheme
    count as outside of spans. Each sentence has at least one word; emissions are float32. C is the number of labels, L
    the number of words of the longest sentence.
    """

    allowed: Tensor
    may_end: Tensor
    # Which transitions stay within a span. *Shape:* (C + 1, C).
    continues: Tensor

    def __init__(self, labels: Sequence[str], scheme: Scheme = BIO) -> None:
        super().__init__()
        # The last row is for transitions to the first word.
        allowed = [[scheme.allows(before, label) for label in labels] for before in [*labels, EDGE]]
        continues = [[scheme.continues_span(before, label) for label in labels] for before in [*labels, EDGE]]
        may_end = [scheme.allows(label, EDGE) for label in labels]
        self.register_buffer("allowed", torch.tensor(allowed, dtype=torch.bool), persistent=False)
        self.register_buffer("may_end", torch.tensor(may_end, dtype=torch.bool), persistent=False)
        self.register_buffer("continues", torch.tensor(continues, dtype=torch.bool), persistent=False)
        self.transitions = nn.Parameter(torch.zeros(len(labels) + 1, len(labels)))
        self.ends = nn.Parameter(torch.zeros(len(labels)))

    def negative_log_likelihood(
        self, emissions: Tensor, gold: Tensor, lengths: Tensor, *, margins: Tensor | None = None
    ) -> Tensor:
        """-log p(gold path) for each sentence. *Shape:* (B, L, C), (B, L), (B,), margins (B, L) -> (B,).

        ``margins`` are added to the scores of all labels of a word but the gold one, in the sum over paths: the
        softmax-margin loss of Gimpel and Smith (2010). A gold path that violates the scheme is added to that sum, so
        that every loss is finite and not below 0.
        """
        with_margins = emissions
        if margins is not None:
            is_gold = functional.one_hot(gold, emissions.shape[-1]).bool()
            with_margins = torch.where(is_gold, emissions, emissions + margins.unsqueeze(-1))
        loss = self.log_partition(with_margins, lengths) - self.score(emissions, gold, lengths)
        # -log(gold / (others + gold)) is softplus(log others - log gold).
        return torch.where(self.is_well_formed(gold, lengths), loss, functional.softplus(loss))

    def partial_negative_log_likelihood(
        self, emissions: Tensor, gold: Tensor, lengths: Tensor, *, margins: Tensor | None = None
    ) -> Tensor:
        """As ``negative_log_likelihood``, for sentences in which some words have no label, -1 in ``gold``.

        It is -log of the sum of p(path) over all paths in the scheme that agree with the labels (Tsuboi et al. 2008).
        If there is none, all paths that agree with the labels are added to the sum over paths.
        """
        is_gold = torch.arange(emissions.shape[-1], device=gold.device) == gold.unsqueeze(-1)
        agrees = is_gold | (gold < 0).unsqueeze(-1)
        with_margins = emissions
        if margins is not None:
            with_margins = torch.where(agrees, emissions, emissions + margins.unsqueeze(-1))
        agreeing = emissions.masked_fill(~agrees, FORBIDDEN)
        both = self.log_partition(torch.cat([with_margins, agreeing]), lengths.repeat(2))
        total, in_scheme = both.chunk(2)
        any_scheme = self.log_partition(agreeing, lengths, within_scheme=False)
        return torch.where(
            in_scheme > FORBIDDEN / 2, total - in_scheme, functional.softplus(total - any_scheme)
        )

    def mean_negative_log_likelihood(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """The mean of -log p(path) over all paths in the scheme, each with the same weight. *Shape:* -> (B,).

        For each label, the number of paths that end there and their mean score are computed from left to right.
        """
        start, transitions, ends = self._masked_scores(0.0)
        can_start, can_follow, can_end = (
            torch.zeros_like(scores).masked_fill(~allowed, FORBIDDEN)
            for scores, allowed in (
                (start, self.allowed[-1]),
                (transitions, self.allowed[:-1]),
                (ends, self.may_end),
            )
        )
        log_numbers, means = can_start.expand(len(lengths), -1), start + emissions[:, 0]
        is_word = self._is_word(lengths, emissions.shape[1])
        for position in range(1, emissions.shape[1]):
            before = log_numbers.unsqueeze(2) + can_follow
            following = (before.softmax(1) * (means.unsqueeze(2) + transitions)).sum(1) + emissions[:, position]
            within = is_word[:, position, None]
            means = torch.where(within, following, means)
            log_numbers = torch.where(within, before.logsumexp(1), log_numbers)
        mean_scores = ((log_numbers + can_end).softmax(1) * (means + ends)).sum(1)
        return self.log_partition(emissions, lengths) - mean_scores

    def log_partition(
        self, emissions: Tensor, lengths: Tensor, *, within_scheme: bool = True, temperature: float | Tensor = 1.0
    ) -> Tensor:
        """The logarithm of the sum over all paths in the scheme. *Shape:* (B, L, C), (B,) -> (B,).

        Unless it is ``within_scheme``, all other paths are included, scored as by ``score``. All scores are divided by
        the ``temperature``.
        """
        start, transitions, ends = self._masked_scores(FORBIDDEN if within_scheme else 0.0, temperature)
        emissions = emissions / temperature
        scores, is_word = start + emissions[:, 0], self._is_word(lengths, emissions.shape[1])
        for position in range(1, emissions.shape[1]):
            following = (scores.unsqueeze(2) + transitions).logsumexp(1) + emissions[:, position]
            scores = torch.where(is_word[:, position, None], following, scores)
        return (scores + ends).logsumexp(1)

    def marginals(self, emissions: Tensor, lengths: Tensor, *, temperature: float = 1.0) -> Tensor:
        """The probability of each label of each word, given its sentence. *Shape:* (B, L, C), (B,) -> (B, L, C).

        The gradient of the log-partition (Eisner 2016) replaces the backward recursion.
        """
        # Prediction runs in inference mode, in which tensors have no gradients.
        with torch.inference_mode(mode=False), torch.enable_grad():
            emissions = (emissions.clone() / temperature).detach().requires_grad_()
            total = self.log_partition(emissions * temperature, lengths.clone(), temperature=temperature).sum()
            return torch.autograd.grad(total, emissions)[0]

    @torch.no_grad()
    def span_probabilities(
        self, emissions: Tensor, lengths: Tensor, spans: Sequence[SpanQuery], *, temperature: float = 1.0
    ) -> Tensor:
        """The probability of single spans: of all paths in the scheme that have exactly this span. *Shape:* -> (N,).

        The sum is over all labels of other words, and all labels of the words of the span that mark it: a span of BIO
        is followed by no ``I`` of its type. *Shape:* emissions (B, L, C), lengths (B,).
        """
        if not spans:
            return emissions.new_zeros(0)
        start, transitions, ends = self._masked_scores(FORBIDDEN, temperature)
        inside = transitions.masked_fill(~self.continues[:-1], FORBIDDEN)
        apart = transitions.masked_fill(self.continues[:-1], FORBIDDEN)
        device = emissions.device
        sentences, first, end = torch.tensor([span[:3] for span in spans], device=device).unbind(1)
        is_start = torch.tensor(
            [[label in span.first_labels for label in range(emissions.shape[2])] for span in spans], device=device
        )
        total = self.log_partition(emissions, lengths, temperature=temperature)[sentences]
        emissions, is_word = emissions[sentences] / temperature, self._is_word(lengths, emissions.shape[1])[sentences]
        scores = torch.full_like(start, FORBIDDEN)
        for position in range(emissions.shape[1]):
            if position == 0:
                scores = start + emissions[:, 0]
            else:
                is_inside, is_edge = (first < position) & (end > position), (first == position) | (end == position)
                outside = torch.where(is_edge[:, None, None], apart, transitions)
                steps = torch.where(is_inside[:, None, None], inside, outside)
                following = (scores.unsqueeze(2) + steps).logsumexp(1) + emissions[:, position]
                scores = torch.where(is_word[:, position, None], following, scores)
            scores = scores.masked_fill((first == position).unsqueeze(1) & ~is_start, FORBIDDEN)
        return ((scores + ends).logsumexp(1) - total).exp().clamp_max(1)

    def path_log_probabilities(
        self, emissions: Tensor, path: Tensor, lengths: Tensor, *, temperature: float | Tensor = 1.0
    ) -> Tensor:
        """log p(path) of paths in the scheme. *Shape:* (B, L, C), (B, L), (B,) -> (B,)."""
        total = self.log_partition(emissions, lengths, temperature=temperature)
        return self.score(emissions, path, lengths) / temperature - total

    def score(self, emissions: Tensor, path: Tensor, lengths: Tensor) -> Tensor:
        """The scores of given paths. *Shape:* (B, L, C), (B, L), (B,) -> (B,).

        Transitions that violate the scheme score 0: as parameters, they would grow without bound if gold paths have
        them, because the log-partition does not.
        """
        is_word = self._is_word(lengths, path.shape[1])
        transitions = self.transitions.masked_fill(~self.allowed, 0.0)
        emitted = emissions.gather(2, path.unsqueeze(2)).squeeze(2)
        within = torch.where(is_word, emitted + transitions[self._previous(path), path], 0.0).sum(1)
        last = to_device(lengths - 1, path.device).unsqueeze(1)
        ends = self.ends.masked_fill(~self.may_end, 0.0)
        return within + ends[path.gather(1, last).squeeze(1)]

    def is_well_formed(self, path: Tensor, lengths: Tensor) -> Tensor:
        """Whether a path follows the scheme. *Shape:* (B, L), (B,) -> (B,)."""
        last = to_device(lengths - 1, path.device).unsqueeze(1)
        steps = (self.allowed[self._previous(path), path] | ~self._is_word(lengths, path.shape[1])).all(1)
        return steps & self.may_end[path.gather(1, last).squeeze(1)]

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """The best path in the scheme (Viterbi 1967). *Shape:* (B, L, C), (B,) -> (B, L), undefined beyond a length."""
        start, transitions, ends = self._masked_scores(FORBIDDEN)
        scores, steps = start + emissions[:, 0], []
        is_word = self._is_word(lengths, emissions.shape[1])
        stay = torch.arange(emissions.shape[2], device=emissions.device)
        for position in range(1, emissions.shape[1]):
            best, previous = (scores.unsqueeze(2) + transitions).max(1)
            scores = torch.where(is_word[:, position, None], best + emissions[:, position], scores)
            steps.append(torch.where(is_word[:, position, None], previous, stay))
        path = [(scores + ends).argmax(1, keepdim=True)]
        for previous in reversed(steps):
            path.append(previous.gather(1, path[-1]))
        return torch.cat(path[::-1], dim=1)

    def _masked_scores(
        self, forbidden: float, temperature: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The scores of transitions to the first word, between labels, and to the end of a sentence.

        ``forbidden`` replaces the scores of those that violate the scheme. *Shape:* -> (C,), (C, C), (C,).
        """
        scores = (self.transitions / temperature).masked_fill(~self.allowed, forbidden)
        return scores[-1], scores[:-1], (self.ends / temperature).masked_fill(~self.may_end, forbidden)

    def _previous(self, path: Tensor) -> Tensor:
        """The label before each word, as a row of ``allowed`` and ``transitions``. *Shape:* (B, L) -> (B, L)."""
        return functional.pad(path, (1, 0), value=len(self.ends))[:, :-1]

    def _is_word(self, lengths: Tensor, width: int) -> Tensor:
        """Which positions are words, not padding. *Shape:* (B,) -> (B, width)."""
        return to_device(is_item(lengths, width), self.ends.device)
