"""``seq_bio``: one span label per word, from one column; predictions always follow the scheme of the labels."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from machamp_lite.config.task_types import SeqBioOptions, TaskOptions
from machamp_lite.data.records import Record
from machamp_lite.data.span_schemes import Span, outside_label, scheme_of
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import LabelDecoder, class_weights, scaled_mean
from machamp_lite.decoders.confidence import Confidence
from machamp_lite.decoders.gold_likelihood import GoldItems, PathLikelihood, span_queries
from machamp_lite.nn.crf import LinearChainCRF
from machamp_lite.nn.ragged import flatten, pad
from machamp_lite.weighting.path_losses import PathObjective


class BioScores(NamedTuple):
    """Scores of each word's labels, without transitions. *Shape:* emissions (B, L, C) in float32, lengths (B,)."""

    emissions: Tensor
    lengths: Tensor


class SeqBio(LabelDecoder):
    """As ``seq``, with a conditional random field that scores and decodes all labels of a sentence together."""

    Options = SeqBioOptions
    items_are_independent = False
    graph_decoding = "paths"
    # Transitions have one more row, for the start of a sentence.
    label_dimensions: ClassVar = {**LabelDecoder.label_dimensions, "crf.transitions": (0, 1), "crf.ends": (0,)}

    def __init__(self, *, config: TaskOptions, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        self.crf = LinearChainCRF(vocabulary.labels, scheme_of(config))
        self.outside = outside_label(vocabulary.labels, scheme_of(config))

    @classmethod
    def read_weights(cls, record: Record, *, task: str, config: TaskOptions) -> list[float] | None:
        """One weight per sentence, because that is what its loss is for: the mean of the weights of its words."""
        weights = super().read_weights(record, task=task, config=config)
        return weights and [sum(weights) / len(weights)]

    def make_objective(self) -> PathObjective:
        """The likelihood of a sentence's labels, with class weights as margins."""
        return PathObjective(
            weights=class_weights(self.config, self.vocabulary),
            counts=self.vocabulary.counts,
            focal_gamma=self.config.focal_gamma,
            label_smoothing=self.config.label_smoothing,
            logit_adjustment=self.config.logit_adjustment,
        )

    def forward(self, hidden: Tensor, lengths: Tensor) -> BioScores:
        """*Shape:* (N, D), (B,) -> see ``BioScores``."""
        return BioScores(pad(super().forward(hidden, lengths).float(), lengths), lengths)

    def item_losses(self, scores: BioScores, gold: Tensor) -> list[Tensor]:
        """The loss of each sentence, divided equally among its annotated words. *Shape:* gold (N,) -> (N,)."""
        emissions, lengths = self.objective.adjusted(scores.emissions), scores.lengths
        margins = self.objective(gold)
        if margins is not None:
            margins = pad(margins, lengths)
        partial = self.config.ignore_label is not None
        loss = self.crf.partial_negative_log_likelihood if partial else self.crf.negative_log_likelihood
        losses = self.objective.focused(loss(emissions, pad(gold, lengths), lengths, margins=margins))
        if self.objective.label_smoothing:
            losses = self.objective.smoothed(losses, self.crf.mean_negative_log_likelihood(emissions, lengths))
        is_annotated = pad((gold >= 0).float(), lengths)
        shares = is_annotated / is_annotated.sum(1, keepdim=True).clamp_min(1)
        return [flatten(losses.unsqueeze(1) * shares, lengths)]

    def best_ids(self, scores: BioScores) -> Tensor:
        """The best path of each sentence in the scheme, without spans below ``min_confidence``. *Shape:* -> (N,)."""
        paths = self.crf.viterbi(*scores)
        if self.config.min_confidence > 0 and self.outside is not None:
            found = self._spans(paths, scores.lengths)
            for (sentence, (start, end, _)), probability in zip(found, self._confidences(scores, found), strict=True):
                if probability < self.config.min_confidence:
                    paths[sentence, start:end] = self.outside
        return flatten(paths, scores.lengths)

    def _spans(self, paths: Tensor, lengths: Tensor) -> list[tuple[int, Span]]:
        """The spans of each sentence, with its index."""
        labels, scheme = self.vocabulary.labels, scheme_of(self.config)
        return [
            (sentence, span)
            for sentence, (path, length) in enumerate(zip(paths.tolist(), lengths.tolist(), strict=True))
            for span in scheme.spans([labels[label] for label in path[:length]])
        ]

    def _confidences(self, scores: BioScores, spans: Sequence[tuple[int, Span]]) -> list[float]:
        """The probability of each span, of all label sequences of its sentence."""
        queries = span_queries(spans, self.vocabulary.labels, scheme_of(self.config))
        found = self.crf.span_probabilities(*scores, queries, temperature=self.temperature)
        return found.tolist()

    def confidences(self, scores: BioScores, sentences: Sequence[Sequence[str]]) -> list[Confidence]:
        """The probability of the best label sequence, and of each predicted span, of all label sequences."""
        paths = self.crf.viterbi(*scores)
        totals = self.crf.path_log_probabilities(
            scores.emissions, paths, scores.lengths, temperature=self.temperature
        ).tolist()
        found = self._spans(paths, scores.lengths)
        spans: list[list[tuple[Span, float]]] = [[] for _ in totals]
        for (sentence, span), value in zip(found, self._confidences(scores, found), strict=True):
            if value >= self.config.min_confidence:
                spans[sentence].append((span, value))
        return [
            Confidence(total, length, tuple(own))
            for total, length, own in zip(totals, scores.lengths.tolist(), spans, strict=True)
        ]

    def average(self, members: Sequence["SeqBio"], scores: Sequence[BioScores]) -> BioScores:
        """The mean score of each label: the score of a path is its mean log-probability, up to a constant."""
        emissions = scaled_mean([own.emissions for own in scores], members, self)
        return BioScores(emissions, scores[0].lengths)

    def adapt_to_ensemble(self, members: Sequence["SeqBio"]) -> None:
        """Transitions and end scores are the means too."""
        with torch.no_grad():
            self.crf.transitions.copy_(scaled_mean([one.crf.transitions for one in members], members, self))
            self.crf.ends.copy_(scaled_mean([one.crf.ends for one in members], members, self))

    def gold_likelihood(self, scores: BioScores, gold: GoldItems) -> PathLikelihood:
        """Of the labels of whole sentences."""
        chosen = list(gold.sentences)
        return PathLikelihood(
            self.crf,
            scores.emissions[chosen],
            gold.padded(scores.lengths),
            scores.lengths[chosen],
            labels=gold.labels,
            names=self.vocabulary.labels,
            scheme=scheme_of(self.config),
        )

    def graph_outputs(self, hidden: Tensor) -> dict[str, Tensor]:
        """The scores of each word's labels, without transitions. *Shape:* (W, C)."""
        return {"emissions": self.scores(hidden)}

    def decoding_arrays(self) -> dict[str, Tensor]:
        """The scores of transitions and of last labels."""
        return {"transitions": self.crf.transitions, "ends": self.crf.ends}

    def decoding_options(self) -> dict[str, Any]:
        """The scheme, and how spans are chosen."""
        return {
            "scheme": scheme_of(self.config).name,
            "temperature": self.temperature,
            "min_confidence": self.config.min_confidence,
        }

    def log_probabilities(self, scores: BioScores) -> Tensor:
        """Marginal log-probabilities: sums over all paths of the sentence in the scheme. *Shape:* -> (N, C)."""
        return flatten(self.crf.marginals(*scores, temperature=self.temperature), scores.lengths).log()
