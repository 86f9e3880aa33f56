"""What MaChAmp's configs may hold that has another name here, has no effect, or is not supported yet."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from machamp_lite.config.faults import ConfigFaults, show

# Task types that MaChAmp has and this project does not yet, with the options they add.
LATER_TASK_TYPES: dict[str, set[str]] = {
    "seq_bio": set(),
    "multiseq": {"threshold"},
    "multiclas": {"threshold"},
    "regression": set(),
    "probdistr": {"column_idxs"},
    "mlm": set(),
    "tok": {"pre_split"},
    "seq2seq": set(),
}

# Keys that are not supported yet, with the values that ask for nothing.
_LATER_PARAMS: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("encoder", "subword_strategy"): ("last",),
    ("training", "keep_top_n"): (1,),
    ("training", "learning_rate_scheduler", "type"): ("slanted_triangular",),
    ("training", "optimizer", "type"): ("adamw",),
    ("training", "optimizer", "correct_bias"): (False, True),
    ("default_dec_dataset_embeds_dim",): (12,),
    ("decoders", "default_decoder", "topn"): (1,),
    ("decoders", "default_decoder", "class_weights"): (None,),
}
_LATER_DATASET: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("dataset_embed_idx",): (None,),
    ("split_mlm",): (None, True),
}
_LATER_TASK: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("class_weights",): (None,),
    ("topn",): (1,),
    ("threshold",): (None,),
    ("column_idxs",): (None,),
    ("pre_split",): (None,),
}
_KEPT = {("training", "keep_top_n"), ("decoders", "default_decoder", "topn"), ("topn",)}


def modernise_params(raw: dict[str, Any], faults: ConfigFaults, source: str) -> dict[str, Any]:
    """Takes older keys of params files to where they stand now."""
    raw = _without_later(raw, _LATER_PARAMS, faults, source, [])
    encoder = raw.get("encoder")
    if isinstance(encoder, dict) and "layers_to_use" in encoder:
        layers = {"layers_to_use": encoder["layers_to_use"]}
        encoder = {key: value for key, value in encoder.items() if key != "layers_to_use"}
        decoders = raw.get("decoders") or {}
        default = {**layers, **decoders.get("default_decoder", {})}
        raw = {**raw, "encoder": encoder, "decoders": {**decoders, "default_decoder": default}}
    return raw


def modernise_dataset(
    raw: dict[str, Any], faults: ConfigFaults, source: str, path: Sequence[str]
) -> dict[str, Any]:
    """Takes ``validation_data_path`` as the older name of ``dev_data_path``."""
    raw = _without_later(raw, _LATER_DATASET, faults, source, path)
    if "validation_data_path" in raw:
        if "dev_data_path" in raw:
            message = (
                "found this and dev_data_path, which is the newer name of the same key; expected one of them"
            )
            faults.add(source, [*path, "validation_data_path"], message)
        raw["dev_data_path"] = raw.pop("validation_data_path")
    return raw


def modernise_task(
    raw: dict[str, Any], faults: ConfigFaults, source: str, path: Sequence[str]
) -> dict[str, Any]:
    """Refuses the options that are not supported yet."""
    return _without_later(raw, _LATER_TASK, faults, source, path)


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
        holder: Any = result
        for key in keys[:-1]:
            holder = holder.get(key) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or keys[-1] not in holder:
            continue
        value = holder[keys[-1]]
        asks_for_nothing = any(type(value) is type(option) and value == option for option in neutral)
        if not asks_for_nothing:
            faults.add(source, [*path, *keys], f"{show(value)} is not supported yet")
        if not (asks_for_nothing and keys in _KEPT):
            del holder[keys[-1]]
    return result
