"""Masks on a GPU are kept without reading them, and mask the same positions."""

from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel
from transformers.masking_utils import create_bidirectional_mask, create_causal_mask

from machamp_lite.acceleration import attention_masks
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
def test_states_are_the_same_with_masks_that_are_not_read(
    config: Any, model: Any, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    skip_mask_sync()
    transformer = model(config(**SIZES, attn_implementation=attention)).eval()
    ids = torch.randint(1, 16, (3, 5))
    for lengths in ([5, 5, 5], [5, 3, 1]):
        mask = (torch.arange(5) < torch.tensor(lengths).unsqueeze(1)).long()
        with torch.no_grad():
            read = transformer(input_ids=ids, attention_mask=mask).last_hidden_state
            with monkeypatch.context() as patch:
                patch.setattr(attention_masks, "is_asynchronous", lambda tensor: True)
                unread = transformer(input_ids=ids, attention_mask=mask).last_hidden_state
        seen = mask.bool()
        torch.testing.assert_close(read[seen], unread[seen])


@pytest.mark.parametrize("make", [create_bidirectional_mask, create_causal_mask])
def test_a_mask_that_hides_nothing_is_left_out_on_a_cpu_only(make: Any) -> None:
    skip_mask_sync()
    for device in ("cpu", "meta"):
        options: dict[str, Any] = {
            "config": BertConfig(**SIZES, attn_implementation="sdpa"),
            "inputs_embeds": torch.zeros(2, 3, 8, device=device),
            "attention_mask": torch.ones(2, 3, dtype=torch.long, device=device),
            "past_key_values": None,
        }
        mask = make(**options)
        assert mask is None if device == "cpu" else mask.shape == (2, 1, 3, 3)
        assert make(**options | {"attention_mask": None}) is None
