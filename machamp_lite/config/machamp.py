"""What MaChAmp's configs may hold that has another name here, has no effect, or is not supported yet."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from machamp_lite.config.faults import ConfigFaults, show

# Task types that MaChAmp has and this project does not yet, with the options they add.
LATER_TASK_TYPES: dict[str, set[str]] = {
    "regression": set(),
    "probdistr": {"column_idxs"},
    "mlm": set(),
    "tok": {"pre_split"},
    "seq2seq": set(),
}

# Why these have no class_weights, and will have none.
NO_CLASS_WEIGHTS = {
    "regression": "its labels are numbers, and numbers are no classes",
    "probdistr": "its labels are distributions over all classes",
    "mlm": "its classes are the whole vocabulary of the encoder",
    "tok": "its classes are where words begin and end",
    "seq2seq": "its classes are the whole vocabulary of the encoder",
}

# Keys that are not supported yet, with the values that ask for nothing.
_LATER_PARAMS: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("encoder", "subword_strategy"): ("last",),
    ("training", "keep_top_n"): (1,),
    ("training", "learning_rate_scheduler", "type"): ("slanted_triangular",),
    ("training", "optimizer", "type"): ("adamw",),
    ("training", "optimizer", "correct_bias"): (False, True),
    ("default_dec_dataset_embeds_dim",): (12,),
}
_LATER_DATASET: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("dataset_embed_idx",): (None,),
    ("split_mlm",): (None, True),
}
_LATER_TASK: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("topn",): (1,),
    ("column_idxs",): (None,),
    ("pre_split",): (None,),
}
_KEPT = {("training", "keep_top_n"), ("topn",)}


def modernise_params(raw: dict[str, Any], faults: ConfigFaults, source: str) -> dict[str, Any]:
    """Takes older keys of params files to where they stand now."""
    raw = _without_later(raw, _LATER_PARAMS, faults, source, [])
    decoders = raw.get("decoders")
    if isinstance(decoders, dict):
        raw["decoders"] = {
            name: entry
            if name in LATER_TASK_TYPES
            else _without_later(entry, _LATER_TASK, faults, source, ["decoders", name])
            for name, entry in decoders.items()
        }
    older, newer = ("encoder", "layers_to_use"), ("decoders", "default_decoder", "layers_to_use")
    _move(raw, older, newer, faults, source, [])
    return raw


def modernise_dataset(
    raw: dict[str, Any], faults: ConfigFaults, source: str, path: Sequence[str]
) -> dict[str, Any]:
    """Takes ``validation_data_path`` as the older name of ``dev_data_path``."""
    raw = _without_later(raw, _LATER_DATASET, faults, source, path)
    _move(raw, ("validation_data_path",), ("dev_data_path",), faults, source, path)
    return raw


def modernise_task(
    raw: dict[str, Any], faults: ConfigFaults, source: str, path: Sequence[str]
) -> dict[str, Any]:
    """Refuses the options that are not supported yet."""
    return _without_later(raw, _LATER_TASK, faults, source, path)


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


def _without_later(
    raw: dict[str, Any],
    later: Mapping[tuple[str, ...], tuple[Any, ...]],
    faults: ConfigFaults,
    source: str,
    path: Sequence[str],
) -> dict[str, Any]:
    """A copy without the keys that are not supported yet; a value that asks for something is a fault."""
    result = copy.deepcopy(raw)
    for keys, neutral in later.items():
        holder = _holder(result, keys)
        if holder is None or keys[-1] not in holder:
            continue
        value = holder[keys[-1]]
        asks_for_nothing = any(type(value) is type(option) and value == option for option in neutral)
        if not asks_for_nothing:
            known = [show(option) for option in neutral if option is not None]
            expected = " or ".join(known) or "no such key"
            faults.add(source, [*path, *keys], f"{show(value)} is not supported yet, expected {expected}")
        if not (asks_for_nothing and keys in _KEPT):
            del holder[keys[-1]]
    return result
