"""Checks a run without training: whether data, tasks and encoder fit together, and what is in the data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from machamp_lite.config.schema import Config
from machamp_lite.data_checks.statistics import describe_data
from machamp_lite.dataloading.cache import AUTO, cache_folder
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.training import warm_start
from machamp_lite.training.data import read_data
from machamp_lite.training.model_setup import build_model, with_init_model
from machamp_lite.training.trackers import make_trackers


def check(
    config: Config,
    *,
    retrain: str | Path | None = None,
    data_cache: str = AUTO,
    writes_cache: bool = True,
) -> list[str]:
    """Reads all data and describes it in lines; trains nothing, and writes only to the data cache.

    With ``retrain``, the lines also say which decoders of that model would be kept.
    """
    make_trackers(config.params.training.trackers)
    config, init_model = with_init_model(config, retrain)
    data = read_data(config, init_model, cache=cache_folder(data_cache, config), writes=writes_cache)
    with torch.device("meta"):
        # Without weights: this only checks that tasks and encoder fit.
        model = build_model(config, data, init_model=init_model, reset=True)
    lines = describe_data(config, data, tokenizer=model.tokenizer)
    if init_model is not None:
        lines += [f"from {retrain}", *(f"  {line}" for line in warm_start.describe(model, init_model))]
    return lines


def check_all(configs: Sequence[Config], **options: Any) -> list[str]:
    """Calls ``check`` for several runs; raises one error with the faults of all."""
    lines: list[str] = []
    faults: list[str] = []
    for config in configs:
        try:
            lines += check(config, **options)
        except (ConfigError, DataError) as error:
            faults += error.faults
    if faults:
        raise DataError(dict.fromkeys(faults))
    return lines
