"""Exports a model as a folder for ONNX Runtime."""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from machamp_lite.config.joint_datasets import NAME_IS_ID, can_be_joined
from machamp_lite.config.schema import Config
from machamp_lite.data.records import EMPTY
from machamp_lite.data.span_schemes import has_spans, scheme_of
from machamp_lite.data.vocabulary import DATASET_IDS
from machamp_lite.decoders import Decoder, decoder_class
from machamp_lite.errors import ConfigError, missing_packages_line
from machamp_lite.export.manifest import (
    ARRAYS,
    FORMAT,
    GRAPH,
    MANIFEST,
    TOKENIZER,
    ExportedDataset,
    ExportedSource,
    ExportedTask,
    Manifest,
    TokenizerSettings,
)
from machamp_lite.export.onnx_graph import ModelGraph, quiet_exporters, write_graph
from machamp_lite.files.atomic import replacing_folder, write_json
from machamp_lite.model.multitask_model import Model

logger = logging.getLogger(__name__)

_EXPORT_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def has_graph(decoder: type[Decoder]) -> bool:
    """Whether a task type is exported: it reads words or texts, and its own ``decode`` has a counterpart here."""

    def defining(name: str) -> type:
        return next(one for one in decoder.__mro__ if name in vars(one))

    is_decoded = decoder.graph_decoding is not None and issubclass(defining("graph_decoding"), defining("decode"))
    return is_decoded and decoder.Options.input_type == "words"


def exported_tasks(config: Config) -> list[str]:
    """The tasks that have an ONNX graph; logs a warning for the others. Raises ``ConfigError`` if there are none."""
    active = {task: options for task, options in config.tasks().items() if options.is_on}
    left_out = {task: options.task_type for task, options in active.items() if not has_graph(decoder_class(options))}
    if len(left_out) == len(active):
        types = ", ".join(sorted(set(left_out.values())))
        raise ConfigError(f"--onnx: found only tasks of the types {types}, which have no ONNX graph, expected others")
    for task, task_type in left_out.items():
        logger.warning("task '%s' is left out: the type %s has no ONNX graph", task, task_type)
    return [task for task in active if task not in left_out]


def export_onnx(model: Model, folder: Path, *, int8: bool = False, provenance: Mapping[str, Any]) -> Manifest:
    """Writes an ONNX folder (see ``manifest.py``), with ``int8`` weights of linear layers and embeddings.

    Raises ``ConfigError`` for a model that cannot be exported, and without the packages of the extra ``onnx``.
    """
    if missing := [name for name in _EXPORT_PACKAGES if find_spec(name) is None]:
        raise ConfigError(missing_packages_line("--onnx", missing, extra="onnx"))
    _check_encoder(model)
    tasks = exported_tasks(model.config)
    graph = ModelGraph(model.eval(), tasks).eval()
    manifest = _manifest(model, graph, tasks, precision="int8" if int8 else "fp32", provenance=provenance)
    with replacing_folder(folder) as new:
        if int8:
            with tempfile.TemporaryDirectory(dir=new) as temporary:
                write_graph(graph, Path(temporary) / GRAPH)
                _quantize(Path(temporary) / GRAPH, new / GRAPH)
        else:
            write_graph(graph, new / GRAPH)
        save_file(_arrays(model, tasks), new / ARRAYS)
        model.tokenizer.tokenizer.backend_tokenizer.save(str(new / TOKENIZER))
        write_json(new / MANIFEST, manifest.model_dump())
        (new / ARRAYS).chmod((new / MANIFEST).stat().st_mode)
    return manifest


def _check_encoder(model: Model) -> None:
    kind = model.encoder.kind
    if not hasattr(model.tokenizer.tokenizer, "backend_tokenizer"):
        raise ConfigError(
            f"--onnx: the tokenizer of '{kind}' models is a Python program, expected one with tokenizer.json"
        )
    if model.encoder.padding_matters:
        raise ConfigError(f"--onnx: padding changes the output of '{kind}' models, expected an encoder of another kind")


def _manifest(
    model: Model,
    graph: ModelGraph,
    tasks: list[str],
    *,
    precision: Literal["fp32", "int8"],
    provenance: Mapping[str, Any],
) -> Manifest:
    tokenizer, ids = model.tokenizer, model.vocabularies.get(DATASET_IDS)
    entries = {}
    for task, source, names in zip(tasks, graph.task_sources, graph.outputs, strict=True):
        decoder = model.decoder(task)
        assert decoder.graph_decoding is not None
        entries[task] = ExportedTask(
            task_type=decoder.config.task_type,
            decoding=decoder.graph_decoding,
            source=graph.inputs.index((source.level, source.pooling)),
            labels=decoder.vocabulary.labels,
            scheme=scheme_of(decoder.config).name if has_spans(decoder.config) else None,
            options=decoder.decoding_options(),
            outputs=names,
        )
    datasets = {}
    for name, dataset in model.config.datasets.items():
        own = {task: options.columns() for task, options in dataset.active().tasks.items() if task in tasks}
        # Words that are predicted in memory have no column with a name.
        dataset_name = name if dataset.dataset_embed_idx == NAME_IS_ID else EMPTY
        has_ids = ids is not None and dataset.dataset_embed_idx is not None
        if own:
            datasets[name] = ExportedDataset(
                texts=0 if dataset.sent_idxs is None else len(dataset.sent_idxs),
                dataset_id=ids.ids([dataset_name])[0] + 1 if ids is not None and has_ids else 0,
                inputs=list(dataset.text_columns()),
                tasks=own,
            )
    return Manifest(
        format=FORMAT,
        provenance=dict(provenance),
        precision=precision,
        has_types=graph.has_types,
        has_dataset_ids=graph.dataset_embedding is not None,
        tokenizer=TokenizerSettings(
            unknown_id=tokenizer.unknown_id,
            pad_id=model.encoder.pad_id,
            before=list(tokenizer.special.before),
            between=list(tokenizer.special.between),
            after=list(tokenizer.special.after),
            second_text_type=tokenizer.special.second_text_type,
            prefix=tokenizer.boundary.prefix,
            between_words=list(tokenizer.boundary.between_words),
            max_subwords=tokenizer.max_subwords,
            long_input=tokenizer.long_input,
        ),
        sources=[ExportedSource(level=level, pooling=pooling) for level, pooling in graph.inputs],
        datasets=datasets,
        joined=list(_joined(model.config, datasets)),
        tasks=entries,
    )


def _joined(config: Config, datasets: Mapping[str, ExportedDataset]) -> Iterator[list[str]]:
    """The sets of datasets that can be predicted together, of those that read words, or the same number of texts."""
    for texts in sorted({dataset.texts for dataset in datasets.values()}):
        names = [name for name, dataset in datasets.items() if dataset.texts == texts]
        if len(names) > 1 and can_be_joined(config, names):
            yield names


@torch.no_grad()
def _arrays(model: Model, tasks: list[str]) -> dict[str, Tensor]:
    return {
        f"{number}.{name}": value.detach().clone().contiguous()
        for number, task in enumerate(tasks)
        for name, value in model.decoder(task).decoding_arrays().items()
    }


def _quantize(source: Path, target: Path) -> None:
    """Weights in 8 bits, inputs of layers in 8 bits at run time (dynamic quantisation)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet_exporters():
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True)
