"""What MaChAmp's configs may hold that has another name here, or that only one value is supported of."""

import copy
from collections.abc import Sequence
from typing import Any

from machamp_lite.config.error_messages import ConfigFaults, show

# Keys of params of which only what is always done is supported.
_ONE_WAY: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("encoder", "subword_strategy"): ("last",),
    ("training", "learning_rate_scheduler", "type"): ("slanted_triangular",),
    ("training", "optimizer", "type"): ("adamw",),
    ("training", "optimizer", "correct_bias"): (False, True),
}


def migrate_params(raw: dict[str, Any], faults: ConfigFaults, source: str) -> dict[str, Any]:
    """Takes older keys of params files to where they stand now."""
    raw = _without_one_way(raw, faults, source)
    older, newer = ("encoder", "layers_to_use"), ("decoders", "default_decoder", "layers_to_use")
    _move(raw, older, newer, faults, source, [])
    _move(raw, ("default_dec_dataset_embeds_dim",), ("encoder", "dataset_embeds_dim"), faults, source, [])
    return raw


def migrate_dataset(
    raw: dict[str, Any], faults: ConfigFaults, source: str, path: Sequence[str]
) -> dict[str, Any]:
    """Takes ``validation_data_path`` as the older name of ``dev_data_path``."""
    raw = copy.deepcopy(raw)
    _move(raw, ("validation_data_path",), ("dev_data_path",), faults, source, path)
    return raw


def _move(
    raw: dict[str, Any],
    older: tuple[str, ...],
    newer: tuple[str, ...],
    faults: ConfigFaults,
    source: str,
    path: Sequence[str],
) -> None:
    """Takes a value from an older key to the newer one; both at once are a fault."""
    old_holder = _holder(raw, older)
    if old_holder is None or older[-1] not in old_holder:
        return
    value, new_holder = old_holder.pop(older[-1]), _holder(raw, newer, make=True)
    if new_holder is None:
        return
    if newer[-1] in new_holder:
        message = f"found this and {' -> '.join(newer)}, its newer name; expected one of them"
        faults.add(source, [*path, *older], message)
        return
    new_holder[newer[-1]] = value
    faults.older_names[(source, (*path, *newer))] = (*path, *older)


def _holder(raw: dict[str, Any], keys: Sequence[str], *, make: bool = False) -> dict[str, Any] | None:
    """The object that has the last key; None if something on the way is no object."""
    holder: Any = raw
    for key in keys[:-1]:
        if make and isinstance(holder, dict):
            holder.setdefault(key, {})
        holder = holder.get(key) if isinstance(holder, dict) else None
    return holder if isinstance(holder, dict) else None


def _without_one_way(raw: dict[str, Any], faults: ConfigFaults, source: str) -> dict[str, Any]:
    """A copy without the keys that can ask for nothing; a value that asks for something is a fault."""
    result = copy.deepcopy(raw)
    for keys, neutral in _ONE_WAY.items():
        holder = _holder(result, keys)
        if holder is None or keys[-1] not in holder:
            continue
        value = holder.pop(keys[-1])
        if not any(type(value) is type(option) and value == option for option in neutral):
            expected = " or ".join(map(show, neutral))
            faults.add(source, keys, f"{show(value)} is not supported yet, expected {expected}")
    return result
