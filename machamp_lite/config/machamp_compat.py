"""Keys of MaChAmp's configs that have another name here, or that support only some values."""

import copy
from collections.abc import Sequence
from typing import Any

from machamp_lite.config.error_messages import Location, show

# Keys of MaChAmp's params that are not options here, with the values that agree with what is always done.
_SUPPORTED_VALUES: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("encoder", "subword_strategy"): ("last",),
    ("training", "learning_rate_scheduler", "type"): ("slanted_triangular",),
    ("training", "optimizer", "type"): ("adamw",),
    ("training", "optimizer", "correct_bias"): (False, True),
}


def migrate_params(raw: dict[str, Any], where: Location) -> dict[str, Any]:
    """A copy with the current names of older keys, and without the keys that are not options here."""
    raw = copy.deepcopy(raw)
    for keys, supported in _SUPPORTED_VALUES.items():
        holder = _holder(raw, keys)
        if holder is None or keys[-1] not in holder:
            continue
        value = holder.pop(keys[-1])
        # Compares types too, because 0 == False.
        if not any(type(value) is type(option) and value == option for option in supported):
            expected = " or ".join(map(show, supported))
            where.at(*keys).add(f"{show(value)} is not supported yet, expected {expected}")
    _rename(raw, ("encoder", "layers_to_use"), ("decoders", "default_decoder", "layers_to_use"), where)
    _rename(raw, ("default_dec_dataset_embeds_dim",), ("encoder", "dataset_embeds_dim"), where)
    return raw


def migrate_dataset(raw: dict[str, Any], where: Location) -> dict[str, Any]:
    """A copy in which ``validation_data_path`` is called ``dev_data_path``."""
    raw = copy.deepcopy(raw)
    _rename(raw, ("validation_data_path",), ("dev_data_path",), where)
    return raw


def _rename(raw: dict[str, Any], older: tuple[str, ...], newer: tuple[str, ...], where: Location) -> None:
    """Moves the value of an older key to the newer one; it is an error to have both."""
    old_holder = _holder(raw, older)
    if old_holder is None or older[-1] not in old_holder:
        return
    value, new_holder = old_holder.pop(older[-1]), _holder(raw, newer, create=True)
    if new_holder is None:
        return
    if newer[-1] in new_holder:
        message = f"found this and {' -> '.join(newer)}, its newer name; expected one of them"
        where.at(*older).add(message)
        return
    new_holder[newer[-1]] = value
    where.errors.older_names[(where.source, (*where.keys, *newer))] = (*where.keys, *older)


def _holder(raw: dict[str, Any], keys: Sequence[str], *, create: bool = False) -> dict[str, Any] | None:
    """The object with the last key; None if a value on the path is not an object."""
    holder: Any = raw
    for key in keys[:-1]:
        if create and isinstance(holder, dict):
            holder.setdefault(key, {})
        holder = holder.get(key) if isinstance(holder, dict) else None
    return holder if isinstance(holder, dict) else None
