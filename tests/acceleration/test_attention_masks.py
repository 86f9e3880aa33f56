"""Masks are taken for ones that hide something where nobody may ask, and hide the same."""

from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask

from machamp_lite.acceleration.attention_masks import skip_mask_sync

SIZES: dict[str, Any] = {
    "vocab_size": 16,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}
MODELS = ((BertConfig, BertModel), (LlamaConfig, LlamaModel))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("config", "model"), MODELS)
def test_states_are_the_same_with_masks_that_nobody_asks(config: Any, model: Any, attention: str) -> None:
    torch.manual_seed(0)
    transformer = model(config(**SIZES, attn_implementation=attention)).eval()
    ids = torch.randint(1, 16, (3, 5))
    for lengths in ([5, 5, 5], [5, 3, 1]):
        mask = (torch.arange(5) < torch.tensor(lengths).unsqueeze(1)).long()
        with torch.no_grad():
            asked = transformer(input_ids=ids, attention_mask=mask).last_hidden_state
            with skip_mask_sync():
                unasked = transformer(input_ids=ids, attention_mask=mask).last_hidden_state
        seen = mask.bool()
        torch.testing.assert_close(asked[seen], unasked[seen])


@pytest.mark.parametrize("make", [create_bidirectional_mask, create_causal_mask])
def test_a_mask_that_hides_nothing_is_left_out_but_where_nobody_asks(make: Any) -> None:
    options: dict[str, Any] = {
        "config": BertConfig(**SIZES, attn_implementation="sdpa"),
        "inputs_embeds": torch.zeros(2, 3, 8),
        "attention_mask": torch.ones(2, 3, dtype=torch.long),
        "past_key_values": None,
    }
    assert make(**options) is None
    with skip_mask_sync():
        assert make(**options).shape == (2, 1, 3, 3)
        assert make(**options | {"attention_mask": None}) is None
    assert make(**options) is None
