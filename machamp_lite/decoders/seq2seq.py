"""``seq2seq``: from the text of a TSV row to a text in a column or a comment; for encoder-decoder models."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import Parameter, functional
from transformers.modeling_outputs import BaseModelOutput

from machamp_lite.config.task_types import Seq2SeqOptions
from machamp_lite.data.ranked import Ranked, merge
from machamp_lite.data.records import EMPTY
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import Decoder, split
from machamp_lite.nn.ragged import is_item, pad, to_device

# The target that cross-entropy ignores.
IGNORED = -100


class Memory(NamedTuple):
    """The encoded texts, to which the pretrained decoder attends. *Shape:* states (B, L, D), mask (B, L)."""

    states: Tensor
    mask: Tensor


class TargetVocabulary(Vocabulary):
    """Turns target texts into subword ids of the tokenizer; contains no labels."""

    def __init__(self, tokenizer: Any, **saved: Any) -> None:
        super().__init__(**saved)
        self.tokenizer = tokenizer

    def add(self, labels: Iterable[str], *, items: int) -> list[int]:
        """Counts the items; returns the ids of the subwords."""
        self.items += items
        return self.ids(labels)

    def ids(self, labels: Iterable[str]) -> list[int]:
        """The ids of the subwords of target texts, each with its end symbol."""
        encoded = self.tokenizer(text_target=list(labels), verbose=False)["input_ids"]
        return [subword_id for ids in encoded for subword_id in ids]


class Seq2Seq(Decoder):
    """The pretrained decoder of an encoder-decoder model, trained with teacher forcing; beam search."""

    language_model = "sequence"
    Options = Seq2SeqOptions

    model: Any

    @classmethod
    def make_vocabulary(cls, tokenizer: Any, **saved: Any) -> Vocabulary:
        """A ``TargetVocabulary``."""
        return TargetVocabulary(tokenizer, **saved)

    def use_pretrained_head(self, language_model: Any) -> None:
        """Takes the whole model, whose encoder is the shared one."""
        self.model = language_model

    def pretrained_parameters(self) -> list[Parameter]:
        """Those of the whole model."""
        return list(self.model.parameters())

    @classmethod
    def encode(cls, labels: Sequence[str], class_ids: Sequence[int]) -> np.ndarray:
        """*Shape:* (1, subwords of the target)."""
        return np.array([class_ids], dtype=np.int64)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Memory:
        """*Shape:* (S, D), (B,) -> see ``Memory``."""
        states = pad(self.dropout(hidden), lengths)
        return Memory(states, to_device(is_item(lengths, states.shape[1]).long(), states.device))

    def item_losses(self, scores: Memory, gold: Tensor) -> list[Tensor]:
        """Cross-entropy, summed over the target subwords. *Shape:* gold (B, T), padded with -1 -> (B,)."""
        gold = gold[:, : self.config.max_output_length]
        labels = gold.masked_fill(gold < 0, IGNORED)
        output = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=scores.states),
            attention_mask=scores.mask,
            labels=labels,
            use_cache=False,
        )
        logits = output.logits.float().flatten(0, 1)
        losses = functional.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="none")
        return [losses.view(labels.shape).sum(1)]

    def item_counts(self, gold: np.ndarray) -> list[np.ndarray | float]:
        """The number of target subwords."""
        return [(gold[:, : self.config.max_output_length] >= 0).sum(1)]

    def decode(self, scores: Memory, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The best output of a beam search for each text."""
        return [[text] for text in self._texts(self._search(scores, with_scores=False).sequences)]

    def rank(self, scores: Memory, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Ranked]]:
        """The outputs in the final beam, at most ``num_beams``, each with its probability."""
        outputs = min(top_n, self.config.num_beams)
        found = self._search(scores, outputs=outputs)
        probabilities = self._log_probabilities(found).exp().tolist()
        ranked = split(
            list(zip(self._texts(found.sequences), probabilities, strict=True)), [outputs] * len(sentences)
        )
        return [[merge(texts, first=texts[0][0], top_n=top_n)] for texts in ranked]

    def _log_probabilities(self, found: Any) -> Tensor:
        """The log-probability of each output: a sum over its subwords. *Shape:* -> (outputs,)."""
        steps = self.model.compute_transition_scores(
            found.sequences,
            found.scores,
            found.get("beam_indices"),
            # The scores of a beam are log-probabilities already.
            normalize_logits="beam_indices" not in found,
        )
        is_padding = found.sequences[:, -steps.shape[1] :] == self.model.config.pad_token_id
        return steps.float().masked_fill(is_padding, 0.0).sum(1)

    def _search(self, memory: Memory, *, outputs: int = 1, with_scores: bool = True) -> Any:
        """Beam search. ``with_scores`` keeps the scores of the whole vocabulary for each step."""
        return self.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=memory.states),
            attention_mask=memory.mask,
            num_beams=max(self.config.num_beams, outputs),
            num_return_sequences=outputs,
            max_new_tokens=self.config.max_output_length,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=with_scores,
        )

    def _texts(self, ids: Tensor) -> list[str]:
        """The outputs, each on one line without tabs; an empty one becomes ``_``."""
        assert isinstance(self.vocabulary, TargetVocabulary)
        texts = self.vocabulary.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) or EMPTY for text in texts]
