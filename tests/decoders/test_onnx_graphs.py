"""The graph of a model and its decoding in NumPy give the labels of prediction, for every task type with a graph."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exported_models import assert_same_predictions, randomize
from task_type_cases import CASES, Case, Setting

from machamp_lite.data.span_schemes import SCHEMES
from machamp_lite.decoders import DECODERS
from machamp_lite.errors import ConfigError
from machamp_lite.export import onnx_folder, onnx_runtime
from machamp_lite.export.decoding import DECODINGS, Paths
from machamp_lite.export.manifest import ExportedTask
from machamp_lite.export.onnx_graph import ModelGraph
from machamp_lite.inference import engine
from machamp_lite.model.multitask_model import Model
from machamp_lite.nn.crf import LinearChainCRF, SpanQuery

onnxruntime = pytest.importorskip("onnxruntime")

LONG = "dogs the sleep old . ran Anna ? n't books who reads run do".split()
WORDS = [["Anna", "reads", "the", "old", "books", "."], ["Run"], ["Who", "ran", "?"], LONG * 2]
TEXTS = [["a dog sleeps", "the dog rests"], ["he", "she"], ["trains " * 60, "buses run"]]
EXPORTED = [case for case in CASES if onnx_folder.has_graph(DECODERS[case.task_type])]


class TorchSession:
    """Runs a graph in torch, with the interface of ONNX Runtime."""

    def __init__(self, graph: ModelGraph) -> None:
        self.graph = graph

    def get_inputs(self) -> list[Any]:
        return [type("Input", (), {"name": name}) for name in self.graph.example_inputs()]

    @torch.inference_mode()
    def run(self, names: Sequence[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        outputs = self.graph({name: torch.from_numpy(values) for name, values in feeds.items()})
        by_name = dict(zip(self.graph.output_names, outputs, strict=True))
        return [by_name[name].numpy() for name in names]


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Model], onnx_runtime.OnnxModel]:
    """Exports a model without writing its graph, which then runs in torch."""

    def through_torch(model: Model) -> onnx_runtime.OnnxModel:
        graphs: list[ModelGraph] = []

        def keep(graph: ModelGraph, path: Path) -> None:
            path.write_bytes(b"")
            graphs.append(graph)

        monkeypatch.setattr(onnx_folder, "write_graph", keep)
        monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: TorchSession(graphs[-1]))
        onnx_folder.export_onnx(model, tmp_path / "onnx", provenance={})
        return onnx_runtime.load_onnx(tmp_path / "onnx")

    return through_torch


@pytest.mark.parametrize("case", EXPORTED, ids=lambda case: f"{case.task_type}-{case.dataset}")
@pytest.mark.parametrize("overrides", [[], ["encoder.max_input_length=20", "encoder.long_input=stride"]], ids=len)
def test_labels_are_those_of_prediction(
    make: Callable[..., Setting], export: Callable[[Model], Any], case: Case, overrides: list[str]
) -> None:
    model = make(case, *overrides).model
    randomize(model)
    assert_same_predictions(model, export(model), WORDS if case.dataset == "words" else TEXTS)


POOLINGS = [(level, pooling) for level in ("words", "texts") for pooling in ("first", "last", "mean", "max")]


@pytest.mark.parametrize(("dataset", "pooling"), [*POOLINGS, ("words", "first_last"), ("texts", "attention")])
def test_every_pooling(
    make: Callable[..., Setting], export: Callable[[Model], Any], dataset: str, pooling: str
) -> None:
    task_type, column = ("seq", 3) if dataset == "words" else ("classification", 2)
    options = {"column_idx": column, "pooling": pooling}
    model = make(Case(task_type, dataset, options), "encoder.max_input_length=20", "encoder.long_input=stride").model
    randomize(model)
    assert_same_predictions(model, export(model), WORDS if dataset == "words" else TEXTS)


DECISIONS = [
    ("seq", "words", {"column_idx": 3, "tau": 2.0}),
    ("seq", "words", {"column_idx": 3, "offsets": {"NOUN": 3.0}}),
    ("seq", "words", {"column_idx": 3, "costs": {"NOUN": {"DET": 0.01, "VERB": 0.02}}, "temperature": 2.0}),
    ("multiseq", "words", {"column_idx": 5, "threshold": {"Number=Plur": 0.2, "Number=Sing": 0.6}}),
    ("seq_bio", "words", {"column_idx": 8, "min_confidence": 0.4, "temperature": 3.0}),
    ("dependency", "words", {"column_idx": 6, "activation": "elu"}),
]


@pytest.mark.parametrize(("task_type", "dataset", "options"), DECISIONS)
def test_decisions_are_part_of_the_export(
    make: Callable[..., Setting], export: Callable[[Model], Any], task_type: str, dataset: str, options: dict[str, Any]
) -> None:
    model = make(Case(task_type, dataset, options)).model
    randomize(model)
    assert_same_predictions(model, export(model), WORDS)


@pytest.mark.parametrize("task_type", ["dependency", "seq_bio", "seq"])
def test_long_sentences_are_predicted_in_the_same_parts(
    make: Callable[..., Setting],
    export: Callable[[Model], Any],
    monkeypatch: pytest.MonkeyPatch,
    task_type: str,
) -> None:
    monkeypatch.setattr(engine, "MAX_PART_SUBWORDS", 30)
    monkeypatch.setattr(onnx_runtime, "MAX_PART_SUBWORDS", 30)
    case = next(case for case in CASES if case.task_type == task_type)
    model = make(case, "encoder.max_input_length=20").model
    randomize(model)
    assert_same_predictions(model, export(model), [LONG * 4, ["Run"]])


@pytest.mark.parametrize("dataset_embed_idx", [-1, 9])
def test_dataset_embeddings(
    make: Callable[..., Setting],
    export: Callable[[Model], Any],
    dataset_embed_idx: int,
) -> None:
    case = next(case for case in CASES if case.task_type == "seq")
    model = make(case, f"datasets.dataset_embed_idx={dataset_embed_idx}").model
    assert model.dataset_embedding is not None
    randomize(model)
    assert_same_predictions(model, export(model), WORDS)


@pytest.mark.parametrize("task_type", ["mlm", "tok"])
def test_a_model_of_other_task_types_is_refused(
    make: Callable[..., Setting], export: Callable[[Model], Any], task_type: str
) -> None:
    case = next(case for case in CASES if case.task_type == task_type)
    with pytest.raises(ConfigError, match=f"found only tasks of the types {task_type}, which have no ONNX graph"):
        export(make(case).model)


def test_every_decoding_is_used_by_a_decoder() -> None:
    exported = {decoder.graph_decoding for decoder in DECODERS.values() if onnx_folder.has_graph(decoder)}
    assert exported == set(DECODINGS)
    without = {name for name, decoder in DECODERS.items() if not onnx_folder.has_graph(decoder)}
    assert without == {"mlm", "seq2seq", "tok"}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_probabilities_of_paths_and_spans_are_those_of_the_crf(scheme: Any) -> None:
    labels = ["O", *(f"{mark}-{kind}" for kind in ("a", "b") for mark in scheme.marks)]
    crf = LinearChainCRF(labels, scheme)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    options = {"scheme": scheme.name, "temperature": 1.5, "min_confidence": 0.0}
    fixed = {"task_type": "seq_bio", "decoding": "paths", "source": 0, "outputs": [], "scheme": scheme.name}
    task = ExportedTask(**fixed, labels=labels, options=options)
    arrays = {"transitions": crf.transitions.detach().numpy(), "ends": crf.ends.detach().numpy()}
    paths = Paths(task, "word", arrays)
    for length in (1, 2, 5):
        emissions = torch.randn(1, length, len(labels), generator=generator)
        lengths, rows = torch.tensor([length]), emissions[0].numpy()
        expected = crf.marginals(emissions, lengths, temperature=1.5)[0].numpy()
        np.testing.assert_allclose(paths.probabilities({"emissions": rows}), expected, atol=1e-5)
        path = crf.viterbi(emissions, lengths)[0].tolist()
        assert paths.decode({"emissions": rows}, []) == [labels[label] for label in path]
        spans = [(start, end, kind) for start in range(length) for end in range(start + 1, length + 1) for kind in "ab"]
        queries = [
            SpanQuery(0, start, end, {number for number, label in enumerate(labels) if label.endswith(f"-{kind}")})
            for start, end, kind in spans
        ]
        probabilities = crf.span_probabilities(emissions, lengths, queries, temperature=1.5).tolist()
        assert [paths.span_probability(rows, span) for span in spans] == pytest.approx(probabilities, abs=1e-5)
