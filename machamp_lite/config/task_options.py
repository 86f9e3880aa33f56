"""Task options: the default decoder's, overlaid by the task type's entry, overlaid by the task's own."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from machamp_lite.config.documents import deep_merge
from machamp_lite.config.error_messages import ConfigFaults, known_keys, show, unknown_keys
from machamp_lite.config.weighting import check_weighting
from machamp_lite.data.vocabulary import DATASET_IDS
from machamp_lite.decoders import DECODERS, Decoder, TaskConfig
from machamp_lite.decoders.base import COMMENT
from machamp_lite.errors import did_you_mean

_OWN_KEYS = {"task_type", "column_idx", "column_idxs"}


class TaskChecker:
    """Fills in and checks the options of tasks; every fault goes to ``faults``."""

    def __init__(self, faults: ConfigFaults, params_source: str) -> None:
        self.faults = faults
        self.params_source = params_source
        self.defaults: dict[str, dict[str, Any]] = {}
        self.default_decoder: dict[str, Any] = {}
        # For each task type, the options for which its own entry stands, and not the default decoder.
        self.own_options: dict[str, set[str]] = {}
        # For each task name, the dataset that had it first, and its options there.
        self.first: dict[str, tuple[str, TaskConfig]] = {}

    def fill_defaults(self, defaults: Mapping[str, Any], raw: Any) -> dict[str, dict[str, Any]]:
        """The ``decoders`` of both params files as one; keeps the options of each task type for ``check``."""
        if not isinstance(raw, dict):
            self.faults.add(self.params_source, ["decoders"], f"expected an object, found {show(raw)}")
            raw = {}
        self._unknown_keys(raw)
        merged = deep_merge(defaults, {name: entry for name, entry in raw.items() if isinstance(entry, dict)})
        self.default_decoder = merged["default_decoder"]
        for name, decoder in DECODERS.items():
            entry = merged.get(name, {})
            options = deep_merge(self.default_decoder, entry)
            known = known_keys(decoder.Config)
            self.defaults[name] = {key: value for key, value in options.items() if key in known}
            self.own_options[name] = set(entry)
            self._check_defaults(name, decoder)
            self._metrics(self.params_source, ["decoders", name], entry, name)
        self._metrics(self.params_source, ["decoders", "default_decoder"], self.default_decoder)
        return {name: entry for name, entry in merged.items() if name in ("default_decoder", *DECODERS)}

    def _unknown_keys(self, raw: Mapping[str, Any]) -> None:
        source, faults = self.params_source, self.faults
        unknown_keys(faults, source, ["decoders"], raw, ["default_decoder", *DECODERS])
        shared = set(known_keys(TaskConfig)) - _OWN_KEYS
        allowed = {name: set(known_keys(decoder.Config)) - _OWN_KEYS for name, decoder in DECODERS.items()}
        owners = {key: name for name, keys in allowed.items() for key in keys - shared}
        allowed["default_decoder"] = shared | owners.keys()
        for name, entry in raw.items():
            if not isinstance(entry, dict):
                faults.add(source, ["decoders", name], f"expected an object {{...}}, found {show(entry)}")
            elif name in allowed:
                unknown_keys(faults, source, ["decoders", name], entry, allowed[name])
        default = raw.get("default_decoder")
        for key in owners.keys() & default.keys() if isinstance(default, dict) else ():
            message = f"not every task type has this option, expected it under decoders -> {owners[key]}"
            faults.add(source, ["decoders", "default_decoder", key], message)

    def _check_defaults(self, name: str, decoder: type[Decoder]) -> None:
        try:
            decoder.Config.model_validate({**self.defaults[name], "task_type": name, "column_idx": COMMENT})
        except ValidationError as error:
            for entry in (name, "default_decoder"):
                is_own = entry == name
                errors = [
                    fault
                    for fault in error.errors()
                    if fault["loc"]
                    and (fault["loc"][0] in self.own_options[name]) == is_own
                    and fault["type"] != "missing"
                ]
                self.faults.add_validation(self.params_source, ["decoders", entry], errors, decoder.Config)

    def check(
        self, source: str, path: list[str], raw: Any, *, has_words: bool, has_sentences: bool
    ) -> TaskConfig | None:
        """One task with every option filled in; None if it has faults. ``path`` is dataset, ``tasks``, task."""
        told = len(self.faults.lines)
        if not path[-1].strip() or not path[-1].isprintable():
            self.faults.add(source, path, "expected a task's name that is not empty and can be printed")
        if path[-1] == DATASET_IDS:
            self.faults.add(source, path, "is a key of datasets, expected another name for a task")
        if not isinstance(raw, dict):
            self.faults.add(source, path, f"expected an object with a task's keys, found {show(raw)}")
            return None
        task_type = raw.get("task_type")
        name = self._task_type(source, [*path, "task_type"], task_type)
        if name is None:
            return None
        decoder = DECODERS[name]
        self._metrics(source, path, raw, name)
        inherited = self.default_decoder.keys() - self.own_options.get(name, set()) - raw.keys()
        defaults = {key: self.default_decoder[key] for key in inherited}
        self._metrics(self.params_source, ["decoders", "default_decoder"], defaults, name)
        try:
            config = decoder.Config.model_validate({**self.defaults[name], **raw})
        except ValidationError as error:
            # What the defaults got wrong was told where they stand.
            own = [
                fault
                for fault in error.errors()
                if not fault["loc"] or fault["loc"][0] in raw or fault["type"] == "missing"
            ]
            self.faults.add_validation(source, path, own, decoder.Config)
            return None
        if "topn" in raw and config.topn > 1 and not decoder.supports_top_k:
            message = f"'{name}' has no second best labels, expected 1 or no such key"
            self.faults.add(source, [*path, "topn"], message)
        check_weighting(
            self.faults, source, path, config=config, decoder=decoder, defaults=self.defaults[name]
        )
        if has_words != has_sentences:
            self._place(source, path, decoder, config, has_words=has_words)
        if len(self.faults.lines) == told:
            # Only tasks that are right in themselves are compared.
            self._compare(source, path, config)
        return config

    def _task_type(self, source: str, path: list[str], task_type: Any) -> str | None:
        supported = ", ".join(sorted(DECODERS))
        if task_type is None:
            self.faults.add(source, path, f"missing, expected one of {supported}")
        elif not isinstance(task_type, str):
            self.faults.add(source, path, f"expected one of {supported}, found {show(task_type)}")
        elif task_type not in DECODERS:
            self.faults.add(source, path, f"unknown {show(task_type)}{did_you_mean(task_type, DECODERS)}")
        else:
            return task_type
        return None

    def _metrics(
        self, source: str, path: list[str], options: Mapping[str, Any], task_type: str | None = None
    ) -> None:
        """Notes each metric that a task type does not have, or that none has."""
        some = {metric for decoder in DECODERS.values() for metric in decoder.metrics}
        known = DECODERS[task_type].metrics if task_type else some
        for key, name in _metric_names(options):
            if name not in known:
                found = (
                    f"'{task_type}' has no metric {show(name)}" if name in some else f"unknown {show(name)}"
                )
                self.faults.add(source, [*path, key], f"{found}{did_you_mean(name, known)}")

    def _place(
        self, source: str, path: list[str], decoder: type[Decoder], config: TaskConfig, *, has_words: bool
    ) -> None:
        if decoder.input_type == "masked":
            return
        found = decoder.columns(config)
        key = "column_idxs" if len(found) > 1 else "column_idx"
        place, shown = [*path, key], found[0] if len(found) == 1 else found
        labels_words = decoder.level == "word" and decoder.input_type == "words"
        if (labels_words or decoder.input_type == "raw") and not has_words:
            what = "labels words" if labels_words else "makes words"
            message = f"'{config.task_type}' {what}, expected a dataset with word_idx, found sent_idxs"
            self.faults.add(source, [*path, "task_type"], message)
        elif labels_words and not found:
            self.faults.add(
                source, place, f"-1 is a comment and '{config.task_type}' labels words, expected a column"
            )
        elif not labels_words and has_words and found:
            message = (
                f"expected -1, a comment '# {path[-1]} = label', in a dataset with word_idx, found {shown}"
            )
            self.faults.add(source, place, message)
        elif not labels_words and not has_words and not found:
            self.faults.add(source, place, "-1 is a comment of a file with word_idx, expected a column")

    def _compare(self, source: str, path: list[str], config: TaskConfig) -> None:
        """Notes where the options of one task name differ: one name is one decoder, wherever it stands."""
        dataset, task = path[0], path[-1]
        other, first = self.first.setdefault(task, (dataset, config))
        expected, found = first.model_dump(), config.model_dump()
        keys = ["task_type"] if first.task_type != config.task_type else sorted(expected.keys() - _OWN_KEYS)
        for key in keys:
            if found[key] != expected[key]:
                message = (
                    f"found {show(found[key])}, but '{task}' in {other} has {show(expected[key])}; tasks of one name "
                    "share one decoder, expected equal options or another name"
                )
                self.faults.add(source, [*path, key], message)


def _metric_names(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each metric that options name, with its key; what is no name at all is told by their validation."""
    additional = options.get("additional_metrics")
    names = [("metric", options.get("metric"))]
    names += [
        ("additional_metrics", name)
        for name in (additional if isinstance(additional, list) else [additional])
    ]
    return ((key, name) for key, name in names if isinstance(name, str))
