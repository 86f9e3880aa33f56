"""Writes predictions in other formats than that of the input."""

import argparse
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from machamp_lite.files.streams import AnyPath

if TYPE_CHECKING:
    from machamp_lite.model.multitask_model import Model

OUTPUT_FORMATS = ("jsonl", "conllu")


def output_format_faults(flags: argparse.Namespace) -> Iterator[str]:
    """A line for each flag that has no effect on these formats."""
    if flags.output_format is None:
        return
    for name in ("conn", "sep", "confidence"):
        if getattr(flags, name):
            yield f"--{name}: has no effect with --output_format {flags.output_format}"
    if flags.output_format == "conllu" and flags.topn is not None:
        yield "--topn: has no effect with --output_format conllu, expected jsonl"


def write_predictions(
    model: "Model",
    source: AnyPath,
    target: AnyPath,
    *,
    dataset: str,
    flags: argparse.Namespace,
    options: Mapping[str, Any],
) -> None:
    """Writes the prediction of each sentence, as a JSON object on one line or as CoNLL-U.

    ``options`` are those of ``Predictor.stream_file``.
    """
    from machamp_lite.api.predictor import Predictor
    from machamp_lite.files.atomic import open_output
    from machamp_lite.inference.predictor import writing

    predictions = Predictor(model).stream_file(source, dataset=dataset, top_k=flags.topn, **options)
    with writing(target), open_output(target) as file:
        for prediction in islice(predictions, flags.max_sents):
            if flags.output_format == "jsonl":
                file.write(json.dumps(prediction.to_dict(), ensure_ascii=False) + "\n")
            else:
                file.write(prediction.to_conllu())
