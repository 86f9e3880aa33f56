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
    tasks: Mapping[str, Mapping[str, Any]],
) -> None:
    """Writes the prediction of each sentence, as a JSON object on one line or as CoNLL-U."""
    from machamp_lite.api.predictor import Predictor
    from machamp_lite.files.atomic import open_output
    from machamp_lite.inference.predictor import writing

    predictions = Predictor(model).stream_file(
        source,
        raw_text=flags.raw_text,
        dataset=dataset,
        pre_tokenized=flags.pre_tokenized,
        batch_size=flags.batch_size,
        top_k=flags.topn,
        threshold=flags.threshold,
        tau=flags.tau,
        min_confidence=flags.min_confidence,
        plain=flags.plain,
        decisions=tasks,
    )
    with writing(target), open_output(target) as file:
        for prediction in islice(predictions, flags.max_sents):
            if flags.output_format == "jsonl":
                file.write(json.dumps(prediction.to_dict(), ensure_ascii=False) + "\n")
            else:
                file.write(prediction.to_conllu())
