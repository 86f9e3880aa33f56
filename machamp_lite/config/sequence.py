"""Several dataset configs for runs one after another: each is a whole config, and all are checked first."""

from collections.abc import Sequence
from pathlib import Path

from machamp_lite.config.documents import parse_override, read_jsonnet
from machamp_lite.config.loading import load_config
from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError


def load_sequence(
    dataset_configs: Sequence[str | Path],
    *,
    parameters_config: str | Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
) -> list[Config]:
    """One config for each file, as of ``load_config``; an override of a dataset is for the files that have it.

    Raises ``ConfigError`` with the faults of all.
    """
    names = [set(read_jsonnet(path)) for path in dataset_configs]
    known = set().union(*names)
    configs, faults = [], []
    for path, own in zip(dataset_configs, names, strict=True):
        own_overrides = [text for text in overrides if _first_key(text, known) not in known - own]
        try:
            configs.append(
                load_config([path], parameters_config=parameters_config, overrides=own_overrides, seed=seed)
            )
        except ConfigError as error:
            faults.extend(error.faults)
    if faults:
        raise ConfigError(dict.fromkeys(faults))
    return configs


def _first_key(override: str, datasets: set[str]) -> str:
    """The first key of an override; nothing for one that cannot be read, of which ``load_config`` tells."""
    try:
        return parse_override(override, sorted(datasets))[0][0]
    except ConfigError:
        return ""
