"""A model as one graph for ONNX: from padded subwords to the outputs of each task, without anything ragged.

Words and sentences are rows of indices: ``rows`` (N, M) are the subwords of each item in the padded batch, flattened,
and ``mask`` (N, M) is 1 for those that exist. So the graph needs neither lengths nor loops.
"""

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from machamp_lite.errors import ConfigError, first_line
from machamp_lite.model.encoder import Source
from machamp_lite.model.multitask_model import Model
from machamp_lite.nn.pooling import Pooling

# Supported by ONNX Runtime from 1.14 (2023).
OPSET = 18
# A protocol buffer has at most 2 GiB; some of it is for the graph itself.
_MAX_FILE_BYTES = 2**31 - 2**27


class ModelGraph(nn.Module):
    """The encoder and the decoders of some tasks, for P segments of at most L subwords, and K layers."""

    def __init__(self, model: Model, tasks: Sequence[str]) -> None:
        super().__init__()
        self.transformer = model.encoder.transformer
        self.has_types = model.encoder.has_types
        self.layers, self.last_layer = model.used_layers, model.encoder.layers - 1
        numbers = [model.tasks.index(task) for task in tasks]
        self.mixes = nn.ModuleList(model.mixes[number] for number in numbers)
        self.attention = nn.ModuleList(model.attention[number] for number in numbers)
        self.decoders = nn.ModuleList(model.decoders[number] for number in numbers)
        self.dataset_embedding = model.dataset_embedding
        self.task_sources = [_of_causal(model.sources[number], model.encoder.is_causal) for number in numbers]
        # The inputs of sources that differ only in their layers are the same.
        self.inputs = list(dict.fromkeys((source.level, source.pooling) for source in self.task_sources))
        with torch.no_grad():
            self.outputs = [list(self._example_outputs(number)) for number in range(len(tasks))]

    def _example_outputs(self, number: int) -> dict[str, Tensor]:
        decoder: Any = self.decoders[number]
        outputs: dict[str, Tensor] = decoder.graph_outputs(torch.zeros(2, decoder.width))
        return outputs

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs in their order."""
        return [f"{number}.{name}" for number, names in enumerate(self.outputs) for name in names]

    def example_inputs(self) -> dict[str, Tensor]:
        """Inputs with sizes that no constant of the graph has."""
        segments, length, words, width = 3, 7, 5, 4
        inputs = {
            "input_ids": torch.ones(segments, length, dtype=torch.long),
            "attention_mask": torch.ones(segments, length, dtype=torch.long),
        }
        if self.has_types:
            inputs["token_type_ids"] = torch.zeros(segments, length, dtype=torch.long)
        for number, (level, _) in enumerate(self.inputs):
            items = words if level == "word" else segments
            inputs[f"rows_{number}"] = torch.arange(items * width).view(items, width) % (segments * length)
            inputs[f"mask_{number}"] = torch.ones(items, width)
        if any(level == "sentence" for level, _ in self.inputs):
            inputs["segments"] = torch.tensor([[0, 1], [2, 2]])
            inputs["segments_mask"] = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
        if self.dataset_embedding is not None:
            inputs["word_datasets"] = torch.zeros(words, dtype=torch.long)
            inputs["sentence_datasets"] = torch.zeros(2, dtype=torch.long)
        return {name: value for name, value in inputs.items() if name in self.used_inputs()}

    def used_inputs(self) -> set[str]:
        """The names of all inputs; the ids of datasets are only given for the levels that tasks have."""
        names = {"input_ids", "attention_mask", "token_type_ids", "segments", "segments_mask"}
        for number, (level, _) in enumerate(self.inputs):
            names |= {f"rows_{number}", f"mask_{number}", f"{level}_datasets"}
        return names

    def forward(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        """The outputs of all tasks, in the order of ``output_names``."""
        names = ("input_ids", "attention_mask", "token_type_ids")
        given: dict[str, Tensor] = {name: inputs[name] for name in names if name in inputs}
        states = self._states(given)
        found: list[Tensor] = []
        for number, (source, outputs_of_task) in enumerate(zip(self.task_sources, self.outputs, strict=True)):
            key = self.inputs.index((source.level, source.pooling))
            layers = torch.stack([states[self.layers.index(layer)] for layer in source.layers])
            hidden = self._items(number, layers, inputs[f"rows_{key}"], inputs[f"mask_{key}"], source.pooling)
            if source.level == "sentence":
                hidden = _masked_mean(_take(hidden, inputs["segments"]), inputs["segments_mask"])
            if self.dataset_embedding is not None:
                vectors = self.dataset_embedding(inputs[f"{source.level}_datasets"])
                hidden = torch.cat([hidden, vectors], dim=-1)
            decoder: Any = self.decoders[number]
            outputs = decoder.graph_outputs(hidden)
            found += [outputs[name] for name in outputs_of_task]
        return found

    def _states(self, given: dict[str, Tensor]) -> list[Tensor]:
        """The states of the used layers, flattened. *Shape:* (P, L) -> K times (P * L, D)."""
        if self.layers == [self.last_layer]:
            return [self.transformer(**given).last_hidden_state.flatten(0, 1)]
        states = self.transformer(**given, output_hidden_states=True).hidden_states
        return [states[layer].flatten(0, 1) for layer in self.layers]

    def _items(self, number: int, layers: Tensor, rows: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
        """The state of each item for a task. *Shape:* (K, P * L, D), (N, M), (N, M) -> (N, D)."""
        mix: Any = self.mixes[number]
        weights = mix() if len(layers) > 1 else torch.ones(1)
        if pooling == "max":
            # Of each layer, as in training.
            taken = layers.index_select(1, rows.flatten()).unflatten(1, (rows.shape[0], rows.shape[1]))
            largest = taken.masked_fill(mask.unsqueeze(-1) == 0, -math.inf).amax(2)
            return torch.einsum("k,knd->nd", weights, largest)
        subwords = _take(torch.einsum("k,knd->nd", weights, layers), rows)
        if pooling != "attention":
            return _masked_mean(subwords, mask)
        attention: Any = self.attention[number]
        scores = (subwords * attention.query).sum(-1) / math.sqrt(subwords.shape[-1])
        shares = scores.masked_fill(mask == 0, -math.inf).softmax(-1)
        return (shares.unsqueeze(1) @ subwords).squeeze(1)


@contextlib.contextmanager
def quiet_exporters() -> Iterator[None]:
    """Silences warnings and logs of torch.onnx and onnxruntime about their own code."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def write_graph(graph: ModelGraph, path: Path) -> None:
    """Writes an ONNX file; raises ``ConfigError`` for an encoder that torch cannot export."""
    inputs = graph.example_inputs()
    size = sum(value.numel() * value.element_size() for value in graph.state_dict().values())
    dynamic = {name: dict.fromkeys(range(value.dim()), torch.export.Dim.DYNAMIC) for name, value in inputs.items()}
    attention = graph.transformer.config._attn_implementation
    try:
        # Fused attention has no operator in ONNX of this opset that takes masks of any shape.
        graph.transformer.set_attn_implementation("eager")
        with quiet_exporters():
            torch.onnx.export(
                graph,
                (),
                path,
                # A dictionary as the last positional argument would be read as keyword arguments.
                kwargs={"inputs": inputs},
                input_names=list(inputs),
                output_names=graph.output_names,
                opset_version=OPSET,
                dynamic_shapes={"inputs": dynamic},
                external_data=size > _MAX_FILE_BYTES,
                verbose=False,
            )
    except Exception as error:
        kind, cause = graph.transformer.config.model_type, first_line(error.__cause__ or error)
        raise ConfigError(f"--onnx: torch cannot export models with '{kind}' encoders ({cause})") from error
    finally:
        graph.transformer.set_attn_implementation(attention)


def _of_causal(source: Source, is_causal: bool) -> Source:
    """Causal encoders are read at the last subword, see ``Encoder.forward``."""
    if not is_causal or source.pooling == "attention":
        return source
    return Source(source.level, "last", source.layers)


def _take(states: Tensor, rows: Tensor) -> Tensor:
    """*Shape:* (R, D), (N, M) -> (N, M, D)."""
    return states.index_select(0, rows.flatten()).unflatten(0, (rows.shape[0], rows.shape[1]))


def _masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """*Shape:* (N, M, D), (N, M) -> (N, D)."""
    return (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
