#!/usr/bin/env python3
"""Writes configs/schema/: the JSON Schemas of dataset configs and params.

Keys and values are those of the options classes, defaults those of configs/params.json, and descriptions those of the
tables in docs/reference/configuration.md. Run it after a change of any of them: `make schemas`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from machamp_lite.config.jsonnet import SCHEMA, read_jsonnet
from machamp_lite.config.overrides import deep_merge
from machamp_lite.config.schema import DatasetConfig, DatasetDefaults, Params
from machamp_lite.config.task_options import DEFAULT_DECODER, OWN_KEYS
from machamp_lite.config.task_types import POOLINGS, TASK_TYPES, TaskOptions, options_class
from machamp_lite.files.atomic import write_json
from machamp_lite.files.package_files import DEFAULT_PARAMS, SCHEMAS

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "configuration.md"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]
# The first cell of the header of each table, and what its rows describe.
TABLES = {
    "key of a dataset": "dataset",
    "key of a task": "task",
    "key of a task type": "task type",
    "key": "params",
}


def descriptions() -> dict[str, dict[str, str]]:
    """The meaning of each key by table; keys of a task type are below the task type."""
    texts: dict[str, dict[str, str]] = {name: {} for name in [*TABLES.values(), *TASK_TYPES]}
    table = None
    for line in REFERENCE.read_text(encoding="utf-8").partition("\n## Keys of MaChAmp\n")[0].splitlines():
        if not line.startswith("|"):
            table = None
            continue
        names, *_, meaning = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        if table is None:
            table = TABLES[names]
            continue
        meaning = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", meaning)
        types = re.match(r"(?:`\w+`(?:, )?)+: ", meaning) if table == "task type" else None
        plain = meaning[types.end() if types else 0 :].replace("`", "")
        for table_name in re.findall(r"\w+", types[0]) if types else [table]:
            texts[table_name] |= dict.fromkeys(re.findall(r"`([^`]+)`", names), plain)
    return texts


def object_schema(node: Schema, texts: Mapping[str, str], defaults: Mapping[str, Any], *, above: str = "") -> Schema:
    """An object of pydantic's schema with descriptions and defaults. Keys that have a default are not required."""
    definitions = node.get("$defs", {})

    def inlined(value: Schema, name: str) -> Schema:
        if "$ref" in value:
            inner = definitions[value["$ref"].rpartition("/")[2]]
            given = defaults.get(name.rpartition(".")[2])
            return object_schema(
                {"$defs": definitions, **inner}, texts, given if isinstance(given, dict) else {}, above=f"{name}."
            )
        result = {key: item for key, item in value.items() if key not in ("title", "default", "description")}
        if "anyOf" in value:
            result["anyOf"] = [inlined(branch, name) for branch in value["anyOf"]]
        return result

    properties = {}
    for key, value in node["properties"].items():
        own = inlined(value, f"{above}{key}")
        default = defaults.get(key, value.get("default"))
        has_default = key in defaults or default is not None
        description = texts.get(f"{above}{key}")
        properties[key] = {
            **({"description": description} if description else {}),
            **own,
            **({"default": default} if has_default and not isinstance(default, dict) else {}),
        }
    alternatives = node.get("anyOf", [])
    without_default = set(node.get("required", [])) - defaults.keys()
    required = [key for key in properties if key in without_default and not _is_in(key, alternatives)]
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **({"anyOf": alternatives} if alternatives else {}),
    }


def _is_in(key: str, alternatives: list[Schema]) -> bool:
    return any(key in one["required"] for one in alternatives)


def task_schema(task_type: str, decoders: Mapping[str, Any], texts: Mapping[str, Mapping[str, str]]) -> Schema:
    """The options of a task type."""
    model = options_class(task_type)
    defaults = deep_merge(decoders[DEFAULT_DECODER], decoders.get(task_type, {}))
    schema = object_schema(model.model_json_schema(), {**texts["task"], **texts[task_type]}, defaults)
    properties = schema["properties"]
    properties["task_type"]["const"] = task_type
    _name_values(properties, metrics=model.metrics, poolings=POOLINGS[model.level])
    for key, reason in model.unsupported_options.items():
        # Only the value that switches an option off, which params may have switched on for all tasks.
        off = decoders[DEFAULT_DECODER][key]
        properties[key] = {"description": f"{task_type} does not have it: {reason}", "const": off, "doNotSuggest": True}
    return schema


def _name_values(properties: Schema, *, metrics: tuple[str, ...], poolings: tuple[str, ...]) -> None:
    """Adds the values of a task type to the keys whose model has those of all, or any string."""
    names = {"enum": list(metrics)}
    properties["metric"] |= names
    properties["additional_metrics"]["anyOf"] = [{"type": "array", "items": names}, names]
    properties["pooling"].pop("anyOf")
    properties["pooling"]["enum"] = [*poolings, None]


def dataset_schema(texts: Mapping[str, Mapping[str, str]]) -> Schema:
    """The schema of dataset configs: datasets by name, with tasks whose options depend on their ``task_type``."""
    params = read_jsonnet(DEFAULT_PARAMS)
    dataset = object_schema(DatasetConfig.model_json_schema(), texts["dataset"], params["datasets"])
    properties, tasks = dataset["properties"], [*TASK_TYPES]
    dataset["required"].insert(0, "train_data_path")
    del properties["train_data_path"]["anyOf"]
    properties["train_data_path"]["type"] = "string"
    properties["tasks"] |= {"minProperties": 1, "additionalProperties": {"$ref": "#/$defs/task"}}
    task = {
        "type": "object",
        "required": ["task_type"],
        "properties": {"task_type": {"description": texts["task"]["task_type"], "enum": tasks}},
        "allOf": [
            {
                "if": {"required": ["task_type"], "properties": {"task_type": {"const": name}}},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in tasks
        ],
    }
    return {
        SCHEMA: DIALECT,
        "title": "Dataset config of machamp_lite",
        "type": "object",
        "properties": {SCHEMA: _OWN_SCHEMA},
        # Names of datasets are parts of file names.
        "propertyNames": {"pattern": r"^[^./\\][^/\\]*$"},
        "additionalProperties": {"$ref": "#/$defs/dataset"},
        "$defs": {
            "dataset": dataset,
            "task": task,
            **{name: task_schema(name, params["decoders"], texts) for name in tasks},
        },
    }


def params_schema(texts: Mapping[str, Mapping[str, str]]) -> Schema:
    """The schema of params, which override defaults: no key is required."""
    defaults = read_jsonnet(DEFAULT_PARAMS)
    schema = object_schema(Params.model_json_schema(), texts["params"], defaults)
    schema["properties"]["datasets"] |= object_schema(
        DatasetDefaults.model_json_schema(), texts["dataset"], defaults["datasets"]
    )
    decoders = {name: task_schema(name, defaults["decoders"], texts) for name in TASK_TYPES}
    shared = object_schema(TaskOptions.model_json_schema(), texts["task"], defaults["decoders"][DEFAULT_DECODER])
    metrics = dict.fromkeys(metric for name in TASK_TYPES for metric in options_class(name).metrics)
    poolings = dict.fromkeys(pooling for known in POOLINGS.values() for pooling in known)
    _name_values(shared["properties"], metrics=tuple(metrics), poolings=tuple(poolings))
    for name, entry in {DEFAULT_DECODER: shared, **decoders}.items():
        properties = {key: value for key, value in entry["properties"].items() if key not in OWN_KEYS}
        decoders[name] = {
            "description": texts["params"][f"decoders.{name if name == DEFAULT_DECODER else 'TASK_TYPE'}"],
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
    schema["properties"]["decoders"] = {
        "description": texts["params"]["decoders"],
        "type": "object",
        "properties": dict(sorted(decoders.items(), key=lambda item: item[0] != DEFAULT_DECODER)),
        "additionalProperties": False,
    }
    schema["properties"][SCHEMA] = _OWN_SCHEMA
    return {SCHEMA: DIALECT, "title": "Params of machamp_lite", **schema}


_OWN_SCHEMA = {"description": "the JSON Schema of this file, which editors read", "type": "string"}


def schemas() -> dict[str, Schema]:
    """The schema of each kind of config."""
    texts = descriptions()
    return {"datasets": dataset_schema(texts), "params": params_schema(texts)}


if __name__ == "__main__":
    for kind, schema in schemas().items():
        write_json(SCHEMAS[kind], schema)
        print(f"written: {SCHEMAS[kind]}")
