"""What an ONNX folder says about its model; imports no torch.

onnx.json            this module: datasets, tasks with their labels, tokenizer settings, provenance
model.onnx           encoder and heads: padded subwords in, scores or decisions of each item out
decoding.safetensors arrays that decoding needs: transitions of a CRF, biaffine weights of a parser
tokenizer.json       the tokenizer of the encoder
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from machamp_lite.config.task_types import Column, Level, Pooling, StrictModel
from machamp_lite.errors import ConfigError, nearest_file
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.run_files import MODEL, SUMMARY
from machamp_lite.model.model_folder import ONNX_MANIFEST, PROVENANCE, WEIGHTS

MANIFEST, GRAPH, ARRAYS, TOKENIZER = ONNX_MANIFEST, "model.onnx", "decoding.safetensors", "tokenizer.json"
# Raised when files or the inputs of the graph change.
FORMAT = 1
_EXPECTED = "expected a folder that machamp-lite export --onnx has written"


class TokenizerSettings(StrictModel):
    """How words and texts become subwords, as ``WordTokenizer`` has determined from the tokenizer."""

    unknown_id: int
    pad_id: int
    before: list[int]
    between: list[int]
    after: list[int]
    second_text_type: int
    prefix: str
    between_words: list[int]
    max_subwords: int
    long_input: Literal["truncate", "stride"]


class ExportedDataset(StrictModel):
    """What sentences of a dataset are, and the columns of its tasks; ``texts`` is the number of texts, 0 for words.

    ``inputs`` are the columns of the words or texts. ``dataset_id`` is an input of tasks with dataset embeddings; 0 is
    unknown.
    """

    texts: int
    dataset_id: int
    inputs: list[Column]
    tasks: dict[str, list[Column]]


class ExportedSource(StrictModel):
    """Which hidden states the graph pools: those of words or of sentences."""

    level: Level
    pooling: Pooling


class ExportedTask(StrictModel):
    """How a task is decoded. The outputs and arrays of task number N have names that begin with ``N.``.

    ``scheme`` is the scheme of spans, if its labels mark spans.
    """

    task_type: str
    decoding: str
    source: int
    labels: list[str]
    scheme: str | None
    options: dict[str, Any]
    outputs: list[str]


class Manifest(StrictModel):
    """The content of onnx.json."""

    format: int
    provenance: dict[str, Any]
    precision: Literal["fp32", "int8"]
    has_types: bool
    has_dataset_ids: bool
    tokenizer: TokenizerSettings
    sources: list[ExportedSource]
    datasets: dict[str, ExportedDataset]
    # The sets of datasets that are predicted together unless one is named.
    joined: list[list[str]]
    tasks: dict[str, ExportedTask]


def read_manifest(folder: Path) -> Manifest:
    """Reads onnx.json; raises ``ConfigError`` for a folder that ``export --onnx`` has not written."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise ConfigError(f"{folder}: found no such folder, {_EXPECTED}{nearest_file(str(folder))}")
    if not path.exists() and (folder / PROVENANCE).is_file():
        raise ConfigError(f"{folder}: found an exported encoder without tasks, {_EXPECTED}")
    if not path.exists() and any((folder / name).exists() for name in (WEIGHTS, MODEL, SUMMARY)):
        raise ConfigError(
            f"{folder}: found a model that is not exported, {_EXPECTED}; load it with machamp_lite.load, or first run "
            f"machamp-lite export {folder} --onnx DIR"
        )
    document = read_json_object(path)
    if not document:
        raise ConfigError(f"{path}: is missing or no JSON object, {_EXPECTED}")
    found = document.get("format")
    if found != FORMAT:
        raise ConfigError(f"{path}: found the format {found!r}, expected {FORMAT}; export the model again")
    for name in (GRAPH, ARRAYS, TOKENIZER):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder / name}: is missing, {_EXPECTED}")
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigError(f"{path}: {' -> '.join(map(str, fault['loc']))}: {fault['msg']}") from None
