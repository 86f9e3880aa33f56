"""The scores of the official evaluation of Universal Dependencies, computed by udtools if it is installed."""

import io
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.formats import format_of

logger = logging.getLogger(__name__)

# The columns of CoNLL-U on which a score depends. It is left out if one of them is not predicted, but copied from gold.
SCORES: dict[str, tuple[int, ...]] = {
    "UPOS": (3,),
    "XPOS": (4,),
    "UFeats": (5,),
    "AllTags": (3, 4, 5),
    "Lemmas": (2,),
    "UAS": (6,),
    "LAS": (6, 7),
    "CLAS": (6, 7),
    "MLAS": (3, 5, 6, 7),
    "BLEX": (2, 6, 7),
}
_FORM, _HEAD, _RELATION, _ENHANCED = 1, 6, 7, 8
# The official evaluation takes 50 seconds and 4 GB for a million words.
MAX_WORDS = 200_000
# The defaults of the command udeval.
TREEBANK_TYPE = {
    "no_gapping": 0,
    "no_shared_parents_in_coordination": 0,
    "no_shared_dependents_in_coordination": 0,
    "no_control": 0,
    "no_external_arguments_of_relative_clauses": 0,
    "no_case_info": 0,
    "no_empty_nodes": False,
    "multiple_roots_okay": False,
}


def parsing_task(config: DatasetConfig, source: str | os.PathLike[str]) -> str | None:
    """The task that writes the heads of a CoNLL-U file; None for another file, or without udtools."""
    columns = config.label_columns()
    is_conllu = config.word_idx == _FORM and format_of(source, config.format) == "tsv"
    if not is_conllu or not {_HEAD, _RELATION} <= set(columns) or find_spec("udtools") is None:
        return None
    tasks = config.active().tasks.items()
    return next((task for task, options in tasks if _HEAD in options.columns()), None)


def official_scores(
    gold: str | os.PathLike[str], predicted: str | os.PathLike[str], *, columns: Collection[Any]
) -> Mapping[str, float]:
    """The F1 of each score that depends on predicted ``columns`` only; empty if a file is no valid CoNLL-U.

    Files in which a tree has a cycle or not exactly one root are not valid.
    """
    from udtools.udeval import UDError, evaluate, load_conllu

    representations = []
    try:
        for path in (gold, predicted):
            with open(path, encoding="utf-8") as file:
                text = io.StringIO("".join(_without_enhanced(file)))
            representations.append(load_conllu(text, str(path), TREEBANK_TYPE))
        evaluation = evaluate(*representations)
    except (UDError, ValueError, LookupError, RecursionError) as error:
        logger.debug("%s: no official UD scores (%s)", gold, error)
        return {}
    return {
        name: round(evaluation[name].f1, 6)
        for name, required in SCORES.items()
        if set(required) <= set(columns)
    }


def _without_enhanced(lines: Iterable[str]) -> Iterator[str]:
    """Lines with ``_`` as enhanced dependencies: no score depends on them, and their column may have other labels."""
    for line in lines:
        cells = line.split("\t")
        if len(cells) > _ENHANCED:
            cells[_ENHANCED] = "_"
        # Empty nodes belong to enhanced dependencies.
        if "." not in cells[0] or line.startswith("#"):
            yield "\t".join(cells)
