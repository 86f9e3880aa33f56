"""Task options: the default decoder's, overlaid by the task type's entry, overlaid by the task's own."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from machamp_lite.config.documents import overlay
from machamp_lite.config.faults import ConfigFaults, known_keys, show, unknown_keys
from machamp_lite.config.machamp import LATER_TASK_TYPES, modernise_task
from machamp_lite.decoders import DECODERS, Decoder, TaskConfig
from machamp_lite.decoders.base import COMMENT
from machamp_lite.errors import did_you_mean

_OWN_KEYS = {"task_type", "column_idx"}


class TaskChecker:
    """Fills in and checks the options of tasks; every fault goes to ``faults``."""

    def __init__(self, faults: ConfigFaults, params_source: str) -> None:
        self.faults = faults
        self.params_source = params_source
        self.defaults: dict[str, dict[str, Any]] = {}

    def fill_defaults(self, defaults: Mapping[str, Any], raw: Any) -> dict[str, dict[str, Any]]:
        """The options of each task type, from the ``decoders`` of both params files."""
        if not isinstance(raw, dict):
            self.faults.add(self.params_source, ["decoders"], f"expected an object, found {show(raw)}")
            raw = {}
        self._unknown_keys(raw)
        merged = overlay(defaults, {name: entry for name, entry in raw.items() if isinstance(entry, dict)})
        for name, decoder in DECODERS.items():
            options = overlay(merged["default_decoder"], merged.get(name, {}))
            known = known_keys(decoder.Config)
            self.defaults[name] = {key: value for key, value in options.items() if key in known}
            self._check_defaults(name, decoder, own=set(merged.get(name, {})))
        return {"default_decoder": merged["default_decoder"], **self.defaults}

    def _unknown_keys(self, raw: Mapping[str, Any]) -> None:
        source, faults = self.params_source, self.faults
        unknown_keys(faults, source, ["decoders"], raw, ["default_decoder", *DECODERS, *LATER_TASK_TYPES])
        shared = set(known_keys(TaskConfig)) - _OWN_KEYS
        allowed = {name: set(known_keys(decoder.Config)) - _OWN_KEYS for name, decoder in DECODERS.items()}
        allowed |= {name: shared | added for name, added in LATER_TASK_TYPES.items()}
        allowed["default_decoder"] = shared
        for name, entry in raw.items():
            if not isinstance(entry, dict):
                faults.add(source, ["decoders", name], f"expected an object, found {show(entry)}")
            elif name in allowed:
                unknown_keys(faults, source, ["decoders", name], entry, allowed[name])

    def _check_defaults(self, name: str, decoder: type[Decoder], own: set[str]) -> None:
        try:
            decoder.Config.model_validate({**self.defaults[name], "task_type": name, "column_idx": 0})
        except ValidationError as error:
            for fault in error.errors():
                entry = name if fault["loc"][0] in own else "default_decoder"
                self.faults.add_validation(self.params_source, ["decoders", entry], [fault], decoder.Config)
        self._metrics(self.params_source, ["decoders", name], decoder, self.defaults[name])

    def check(self, source: str, path: list[str], raw: Any, *, has_words: bool) -> TaskConfig | None:
        """One task with every option filled in; None if it has faults."""
        if not isinstance(raw, dict):
            self.faults.add(source, path, f"expected an object with a task's keys, found {show(raw)}")
            return None
        decoder = self._decoder(source, [*path, "task_type"], raw.get("task_type"))
        if decoder is None:
            return None
        raw = modernise_task(raw, self.faults, source, path)
        self._metrics(source, path, decoder, raw)
        try:
            config = decoder.Config.model_validate({**self.defaults[raw["task_type"]], **raw})
        except ValidationError as error:
            # What the defaults got wrong was told where they stand.
            own = [fault for fault in error.errors() if fault["loc"][0] in raw or fault["type"] == "missing"]
            self.faults.add_validation(source, path, own, decoder.Config)
            return None
        self._place(source, path, decoder, config, has_words=has_words)
        return config

    def _decoder(self, source: str, path: list[str], task_type: Any) -> type[Decoder] | None:
        supported = ", ".join(sorted(DECODERS))
        if task_type is None:
            self.faults.add(source, path, f"missing, expected one of {supported}")
        elif task_type in LATER_TASK_TYPES:
            self.faults.add(source, path, f"'{task_type}' is not supported yet; supported: {supported}")
        elif not isinstance(task_type, str) or task_type not in DECODERS:
            hint = did_you_mean(str(task_type), [*DECODERS, *LATER_TASK_TYPES])
            self.faults.add(source, path, f"unknown {show(task_type)}{hint}")
        else:
            return DECODERS[task_type]
        return None

    def _metrics(
        self, source: str, path: list[str], decoder: type[Decoder], options: Mapping[str, Any]
    ) -> None:
        for key in ("metric", "additional_metrics"):
            names = options.get(key, [])
            for name in [names] if isinstance(names, str) else names:
                if name not in decoder.metrics:
                    hint = did_you_mean(str(name), decoder.metrics)
                    self.faults.add(source, [*path, key], f"unknown {show(name)} for this task type{hint}")

    def _place(
        self, source: str, path: list[str], decoder: type[Decoder], config: TaskConfig, *, has_words: bool
    ) -> None:
        place, found = [*path, "column_idx"], config.column_idx
        if decoder.level == "word" and not has_words:
            message = f"'{config.task_type}' labels words, expected a dataset with word_idx"
            self.faults.add(source, [*path, "task_type"], message)
        elif decoder.level == "word" and found == COMMENT:
            self.faults.add(
                source, place, f"-1 is a comment and '{config.task_type}' labels words, expected a column"
            )
        elif decoder.level == "sentence" and has_words and found != COMMENT:
            message = (
                f"expected -1, a comment '# {path[-1]} = label', in a dataset with word_idx, found {found}"
            )
            self.faults.add(source, place, message)
        elif decoder.level == "sentence" and not has_words and found == COMMENT:
            self.faults.add(source, place, "-1 is a comment of a file with word_idx, expected a column")


def check_shared_tasks(
    faults: ConfigFaults, datasets: Mapping[str, Mapping[str, Any]], sources: Mapping[str, str]
) -> None:
    """Notes where the options of one task name differ: one name is one decoder, wherever it stands."""
    first: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for dataset, raw in datasets.items():
        tasks = raw.get("tasks")
        for task, options in tasks.items() if isinstance(tasks, dict) else ():
            if not isinstance(options, dict):
                continue
            other, expected = first.setdefault(task, (dataset, options))
            for key in _differences(expected, options):
                faults.add(
                    sources[dataset],
                    [dataset, "tasks", task, key],
                    f"found {show(options.get(key))}, but '{task}' in {other} has {show(expected.get(key))}; "
                    "tasks of one name share one decoder, expected equal options or another name",
                )


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Sequence[str]:
    keys = sorted({*one, *other} - {"column_idx", "column_idxs"})
    return [key for key in keys if one.get(key) != other.get(key)]
