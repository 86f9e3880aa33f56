"""``seq2seq``: from the text of a TSV to another text, in a column or a comment; for encoder-decoder models."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import Parameter, functional
from transformers.modeling_outputs import BaseModelOutput

from machamp_lite.config.task_types import Seq2SeqOptions, TaskOptions
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import Decoder, read_sentence_label, split, write_sentence_label
from machamp_lite.decoders.top_k import Ranked, merge
from machamp_lite.nn.ragged import is_item, pad, to_device

# What cross-entropy leaves out.
IGNORED = -100


class Memory(NamedTuple):
    """What the pretrained decoder attends to. *Shape:* states (B, L, D), mask (B, L)."""

    states: Tensor
    mask: Tensor


class TargetVocabulary(Vocabulary):
    """Has no labels of its own: target texts become the tokenizer's ids."""

    def __init__(self, tokenizer: Any, **saved: Any) -> None:
        super().__init__(**saved)
        self.tokenizer = tokenizer

    def add(self, labels: Iterable[str], *, items: int) -> list[int]:
        """Counts items alone; returns the ids of the subwords."""
        self.items += items
        return self.ids(labels)

    def ids(self, labels: Iterable[str]) -> list[int]:
        """The ids of the subwords of a target text, its end included."""
        encoded = self.tokenizer(text_target=list(labels), verbose=False)["input_ids"]
        return [number for ids in encoded for number in ids]


class Seq2Seq(Decoder):
    """The pretrained decoder of the encoder-decoder model, taught with the gold output so far; beam search."""

    language_model = "sequence"
    Options = Seq2SeqOptions

    model: Any

    def make_objective(self) -> None:
        """None: the loss is the plain cross-entropy."""

    @classmethod
    def make_vocabulary(cls, tokenizer: Any, **saved: Any) -> Vocabulary:
        """One that turns target texts into subword ids."""
        return TargetVocabulary(tokenizer, **saved)

    def use_pretrained_head(self, language_model: Any) -> None:
        """Takes the whole model, whose encoder is the shared one."""
        self.model = language_model

    def pretrained_parameters(self) -> list[Parameter]:
        """The model's: they learn at the encoder's rate."""
        return list(self.model.parameters())

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[str] | None:
        """One target text; None if it is ``_`` or the comment is missing."""
        label = read_sentence_label(record, task=task, column=config.column_idx)
        return None if label is None or label == EMPTY else [label]

    @classmethod
    def encode(cls, labels: Sequence[str], class_ids: Sequence[int]) -> np.ndarray:
        """*Shape:* (1, subwords of the target)."""
        return np.array([class_ids], dtype=np.int64)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Any:
        """*Shape:* (S, D), (B,) -> see ``Memory``."""
        states = pad(self.dropout(hidden), lengths)
        return Memory(states, to_device(is_item(lengths, states.shape[1]).long(), states.device))

    def loss_sums(self, scores: Any, gold: Tensor) -> list[Tensor]:
        """Cross-entropy of the subwords of the targets. *Shape:* ``Memory``, (B, T), filled with -1 -> () each."""
        gold = gold[:, : self.config.max_output_length]
        labels = gold.masked_fill(gold < 0, IGNORED)
        output = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=scores.states),
            attention_mask=scores.mask,
            labels=labels,
            use_cache=False,
        )
        logits = output.logits.float().flatten(0, 1)
        return [functional.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum")]

    def loss_counts(self, gold: np.ndarray) -> list[float]:
        """The subwords of the targets."""
        return [float((gold[:, : self.config.max_output_length] >= 0).sum())]

    def decode(self, scores: Any, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The best output of a beam search for each text."""
        return [[text] for text in self._texts(self._search(scores, with_scores=False).sequences)]

    def rank(self, scores: Any, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Ranked]]:
        """The outputs that the beam holds at the end, at most ``num_beams``, each with its whole probability."""
        outputs = min(top_n, self.config.num_beams)
        found = self._search(scores, outputs=outputs)
        probabilities = self._log_probabilities(found).exp().tolist()
        ranked = split(
            list(zip(self._texts(found.sequences), probabilities, strict=True)), [outputs] * len(sentences)
        )
        return [[merge(texts, first=texts[0][0], top_n=top_n)] for texts in ranked]

    def _log_probabilities(self, found: Any) -> Tensor:
        """The sums over the subwords of each output. *Shape:* -> (outputs,)."""
        steps = self.model.compute_transition_scores(
            found.sequences,
            found.scores,
            found.get("beam_indices"),
            # The scores of a beam are log-probabilities already.
            normalize_logits="beam_indices" not in found,
        )
        # After its end an output is filled up, which is no choice.
        filled = found.sequences[:, -steps.shape[1] :] == self.model.config.pad_token_id
        return steps.float().masked_fill(filled, 0.0).sum(1)

    def _search(self, memory: Memory, *, outputs: int = 1, with_scores: bool = True) -> Any:
        """Scores of the whole vocabulary for each step of the search are kept only where they are asked for."""
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
        """Outputs in one line without tabs; an empty one is ``_``."""
        tokenizer: Any = self.vocabulary.tokenizer  # type: ignore[attr-defined]
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) or EMPTY for text in texts]

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[str], *, task: str, config: TaskOptions) -> None:
        """Writes the column or the comment."""
        write_sentence_label(record, labels[0], task=task, column=config.column_idx)
