"""Finds out by encoding short texts whether an encoder is causal, and whether padding changes its output."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from machamp_lite.errors import ConfigError
from machamp_lite.nn.ragged import is_item

if TYPE_CHECKING:
    from machamp_lite.model.encoder import Encoder

# The lengths of the texts in subwords. States count as equal if they differ by less than this share of the largest
# state: rounding changes them by 1e-7, and another subword changes states of random weights by 1e-3.
SHORT, LONG, TOLERANCE = 8, 13, 1e-5
_ENCODER_ERRORS = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, AssertionError)


@dataclass(frozen=True, slots=True)
class AttentionBehaviour:
    """``is_causal``: states do not depend on later subwords. ``padding_matters``: padding changes the states."""

    is_causal: bool = False
    padding_matters: bool = False


def probe_ids(encoder: "Encoder", length: int) -> Tensor:
    """Subword ids other than padding. *Shape:* (length,)."""
    config: Any = encoder.config
    size = int(getattr(config, "vocab_size", None) or 256)
    known = [number for number in range(min(size, 64)) if number != encoder.pad_id]
    return torch.tensor((known * length)[:length])


def probe_attention(encoder: "Encoder") -> AttentionBehaviour:
    """Encodes a few texts; raises ``ConfigError`` for a transformer that cannot read text alone."""
    ids = probe_ids(encoder, LONG + SHORT)
    one, longer, other = ids[:SHORT], ids[:LONG], ids[LONG:].clone()
    half = SHORT // 2
    other[:half] = one[:half]
    padded = torch.stack([functional.pad(one, (0, LONG - SHORT), value=encoder.pad_id), longer])
    was_training = encoder.transformer.training
    encoder.transformer.eval()
    try:
        # Some encoders draw random numbers even in evaluation mode; the run must not depend on them.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            alone, changed, with_padding = (
                _first_states(encoder, rows, lengths)
                for rows, lengths in (
                    (one.unsqueeze(0), [SHORT]),
                    (other.unsqueeze(0), [SHORT]),
                    (padded, [SHORT, LONG]),
                )
            )
    except _ENCODER_ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"transformer_model: '{encoder.kind}' models cannot be used, expected one that reads text alone ({reason})"
        ) from None
    finally:
        encoder.transformer.train(was_training)
    if alone.shape != (SHORT, encoder.width):
        raise ConfigError(
            f"transformer_model: '{encoder.kind}' models cannot be used, expected states of {encoder.width} numbers "
            f"for each of {SHORT} subwords, found {tuple(alone.shape)}"
        )
    limit = TOLERANCE * float(alone.abs().max())
    return AttentionBehaviour(
        is_causal=float((alone - changed)[:half].abs().max()) < limit,
        padding_matters=float((alone - with_padding[:SHORT]).abs().max()) > limit,
    )


def _first_states(encoder: "Encoder", rows: Tensor, lengths: list[int]) -> Tensor:
    """The last layer's states of the first row. *Shape:* (P, L) -> (L, D)."""
    mask = is_item(torch.tensor(lengths), rows.shape[1]).long()
    inputs = {"input_ids": rows, "attention_mask": mask, "token_type_ids": torch.zeros_like(rows)}
    return encoder.run(inputs, [encoder.layers - 1])[0][0]
