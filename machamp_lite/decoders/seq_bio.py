"""``seq_bio``: one span label per word, from one column; predictions always follow the scheme of the labels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from machamp_lite.config.task_types import SeqBioOptions, TaskOptions
from machamp_lite.data.span_schemes import scheme_of
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import class_weights, split
from machamp_lite.decoders.seq import Seq
from machamp_lite.decoders.top_k import Ranked, best_labels
from machamp_lite.nn.crf import LinearChainCRF
from machamp_lite.nn.ragged import flatten, pad
from machamp_lite.weighting.losses import MarginObjective


class BioScores(NamedTuple):
    """Scores of each word's labels alone. *Shape:* emissions (B, L, C) in float32, lengths (B,)."""

    emissions: Tensor
    lengths: Tensor


class SeqBio(Seq):
    """As ``seq``, but a conditional random field scores and decodes sentences as wholes."""

    Options = SeqBioOptions

    def __init__(self, *, config: TaskOptions, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        self.crf = LinearChainCRF(vocabulary.labels, scheme_of(config))

    def make_objective(self) -> MarginObjective:
        """Softmax-margin, with class weights as margins."""
        weights = class_weights(self.config, self.vocabulary)
        return MarginObjective(weights=weights, counts=self.vocabulary.counts)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Any:
        """*Shape:* (N, D), (B,) -> see ``BioScores``."""
        return BioScores(pad(super().forward(hidden, lengths).float(), lengths), lengths)

    def loss_sums(self, scores: Any, gold: Tensor) -> list[Tensor]:
        """The losses of sentences; the count is that of words, so that it has the size of other tasks' losses.

        *Shape:* ``BioScores``, (N,) -> () each.
        """
        emissions, lengths = scores
        margins = self.objective(gold)
        losses = self.crf.negative_log_likelihood(
            emissions,
            pad(gold, lengths),
            lengths,
            margins=None if margins is None else pad(margins, lengths),
        )
        return [losses.sum()]

    def decode(self, scores: Any, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The best labels in the scheme for each sentence."""
        numbers = flatten(self.crf.viterbi(*scores), scores.lengths).tolist()
        labels = [self.vocabulary.labels[number] for number in numbers]
        return split(labels, [len(words) for words in sentences])

    def rank(self, scores: Any, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Ranked]]:
        """The most probable labels of each word, given its sentence: summed over all labellings in the scheme."""
        best = flatten(self.crf.viterbi(*scores), scores.lengths)
        marginals = flatten(self.crf.marginals(*scores), scores.lengths)
        ranked = best_labels(marginals.log(), best, labels=self.vocabulary.labels, top_n=top_n)
        return split(ranked, [len(words) for words in sentences])
