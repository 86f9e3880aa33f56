"""Options of tasks: those of the default decoder, overridden by those of the task type, overridden by the task's."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from machamp_lite.config.error_messages import Location, show
from machamp_lite.config.overrides import deep_merge
from machamp_lite.config.task_types import (
    BUILT_IN,
    COMMENT,
    TASK_TYPES,
    WEIGHT_COMMENT,
    TaskOptions,
    listed_metrics,
    options_class,
)
from machamp_lite.errors import did_you_mean, nearest

DEFAULT_DECODER = "default_decoder"
# Keys without defaults, which may differ between tasks with the same name.
OWN_KEYS = {"task_type", "column_idx", "column_idxs", "weight_column"}
_FREQUENCY = "both correct for the frequency of labels"
# Options that cannot be combined, with the reason.
_CONFLICTS = (
    ("logit_adjustment", "class_weights", _FREQUENCY),
    ("tau", "costs", "costs decide by probabilities, which tau would change"),
    ("offsets", "costs", "costs decide by probabilities, which offsets would change"),
    ("logit_adjustment", "focal_gamma", "the focal factor would be computed from adjusted probabilities"),
    (
        "focal_gamma",
        "label_smoothing",
        "one reduces the weight of confident predictions, the other prevents confident predictions",
    ),
)


class TaskChecker:
    """Fills in and checks the options of all tasks; ``params`` is the location of the user's params."""

    def __init__(self, params: Location) -> None:
        self._decoders = params.at("decoders")
        self._entries: dict[str, dict[str, Any]] = {}
        # The default options of each task type.
        self._defaults: dict[str, dict[str, Any]] = {}
        # For each task name, the first dataset with it and its options there.
        self._first: dict[str, tuple[str, TaskOptions]] = {}

    def merge_decoders(self, defaults: Mapping[str, Any], raw: Any) -> dict[str, dict[str, Any]]:
        """The ``decoders`` of configs/params.json, overridden by those of the user's params, which are checked."""
        if not isinstance(raw, dict):
            self._decoders.add(f"expected an object, found {show(raw)}")
            raw = {}
        self._check_keys(raw)
        given = {name: entry for name, entry in raw.items() if isinstance(entry, dict)}
        known = (DEFAULT_DECODER, *TASK_TYPES)
        self._entries = {
            name: entry for name, entry in deep_merge(defaults, given).items() if name in known
        }
        # The defaults of the other task types are checked when a task of that type is.
        changed = given.keys() & set(TASK_TYPES)
        for name in sorted(changed | BUILT_IN.keys() if DEFAULT_DECODER in given else changed):
            self._defaults_of(name)
        metrics = {metric for name in BUILT_IN.keys() | changed for metric in options_class(name).metrics}
        _check_metrics(self._decoders.at(DEFAULT_DECODER), self._entries[DEFAULT_DECODER], metrics)
        return self._entries

    def _check_keys(self, raw: Mapping[str, Any]) -> None:
        self._decoders.add_unknown_keys(raw, [DEFAULT_DECODER, *TASK_TYPES])
        task_types = BUILT_IN.keys() | (raw.keys() & set(TASK_TYPES))
        allowed = {name: options_class(name).model_fields.keys() - OWN_KEYS for name in task_types}
        shared = TaskOptions.model_fields.keys() - OWN_KEYS
        owners = {key: name for name, keys in allowed.items() for key in keys - shared}
        for name, entry in raw.items():
            where = self._decoders.at(name)
            if not isinstance(entry, dict):
                where.add(f"expected an object {{...}}, found {show(entry)}")
            elif name == DEFAULT_DECODER:
                where.add_unknown_keys(entry, shared | owners.keys())
                for key in owners.keys() & entry.keys():
                    message = f"expected it under decoders -> {owners[key]}"
                    where.at(key).add(f"not every task type has this option, {message}")
            elif name in allowed:
                where.add_unknown_keys(entry, allowed[name])

    def _defaults_of(self, task_type: str) -> dict[str, Any]:
        """The default options of a task type; they are checked once."""
        if task_type not in self._defaults:
            model, entry = options_class(task_type), self._entries.get(task_type, {})
            options = deep_merge(self._entries[DEFAULT_DECODER], entry)
            self._defaults[task_type] = {key: options[key] for key in options if key in model.model_fields}
            self._check_defaults(task_type, model)
            _check_metrics(self._decoders.at(task_type), entry, model.metrics, task_type)
        return self._defaults[task_type]

    def _check_defaults(self, task_type: str, model: type[TaskOptions]) -> None:
        own = self._entries.get(task_type, {})
        try:
            model.model_validate(
                {**self._defaults[task_type], "task_type": task_type, "column_idx": COMMENT}
            )
        except ValidationError as error:
            # Missing options, and errors of several options together, are reported for each task.
            found = [item for item in error.errors() if item["loc"] and item["type"] != "missing"]
            for entry, is_own in ((task_type, True), (DEFAULT_DECODER, False)):
                errors = [item for item in found if (item["loc"][0] in own) == is_own]
                self._decoders.at(entry).add_validation(errors, model)

    def check(self, where: Location, raw: Any, *, has_words: bool | None) -> TaskOptions | None:
        """All options of the task at a location (dataset, ``tasks``, task); None if they are not valid.

        ``has_words`` is True with ``word_idx``, False with ``sent_idxs``, None if the dataset has neither or both.
        """
        errors_before, task = len(where.errors.lines), where.keys[-1]
        if not task.strip() or not task.isprintable():
            where.add("expected a task's name that is not empty and can be printed")
        if task == "dataset_embed_idx":
            where.add("is a key of datasets, expected another name for a task")
        if not isinstance(raw, dict):
            where.add(f"expected an object with a task's keys, found {show(raw)}")
            return None
        misspelt = [key for key in raw if "task_type" not in raw and nearest(key, ["task_type"])]
        where.add_unknown_keys(misspelt, ["task_type"])
        task_type = None if misspelt else _task_type(where.at("task_type"), raw.get("task_type"))
        options = None if task_type is None else self._validate(where, raw, task_type)
        if options is None:
            return None
        if "topn" in raw and options.topn > 1 and not options.supports_top_k:
            where.at("topn").add(f"'{task_type}' cannot write several labels per item, expected 1 or no such key")
        self._check_weighting(where, options)
        self._check_metric_options(where, options)
        _check_weight_column(where.at("weight_column"), options, has_words=has_words)
        if has_words is not None:
            _check_level(where, options, has_words=has_words)
        if len(where.errors.lines) == errors_before:
            self._compare(where, options)
        return options

    def _validate(self, where: Location, raw: dict[str, Any], task_type: str) -> TaskOptions | None:
        model, defaults = options_class(task_type), self._defaults_of(task_type)
        _check_metrics(where, raw, model.metrics, task_type)
        default_decoder, own = self._entries[DEFAULT_DECODER], self._entries.get(task_type, {})
        inherited = {key: default_decoder[key] for key in default_decoder.keys() - own.keys() - raw.keys()}
        _check_metrics(self._decoders.at(DEFAULT_DECODER), inherited, model.metrics, task_type)
        try:
            return model.model_validate({**defaults, **raw})
        except ValidationError as error:
            # Errors of the defaults are already reported at their own location.
            errors = [
                item
                for item in error.errors()
                if not item["loc"] or item["loc"][0] in raw or item["type"] == "missing"
            ]
            where.add_validation(errors, model)
            return None

    def _check_weighting(self, where: Location, options: TaskOptions) -> None:
        for key, reason in options.unsupported_options.items():
            if getattr(options, key):
                where.at(key).add(f"'{options.task_type}' does not have this option: {reason}")
        given = options.model_dump()
        for one, other, reason in (*_CONFLICTS, *options.conflicts):
            if given.get(one) and given.get(other):
                found = f"found {show(given[one])} together with {other} {show(given[other])}"
                where.at(one).add(f"{found}, expected one of them: {reason}")
        is_changed = options.class_weights_beta != self._defaults_of(options.task_type)["class_weights_beta"]
        if is_changed and options.class_weights != "effective":
            message = f"has no effect with class_weights {show(options.class_weights)}"
            where.at("class_weights_beta").add(f"{message}, expected class_weights 'effective'")

    def _check_metric_options(self, where: Location, options: TaskOptions) -> None:
        """Adds an error for each option of metrics that no metric of the task has."""
        defaults, names = self._defaults_of(options.task_type), options.metric_names()
        for key, example, is_used in (
            ("positive_label", "f1_binary", options.has_positive_label),
            ("beta", "fbeta_macro", any(name.startswith("fbeta") for name in names)),
        ):
            if not is_used and getattr(options, key) != defaults[key]:
                where.at(key).add(f"has no effect on {', '.join(names)}, expected a metric such as {example}")

    def _compare(self, where: Location, options: TaskOptions) -> None:
        """Adds an error for each option that differs between datasets, because tasks of one name share one decoder."""
        dataset, _, task = where.keys
        other, first = self._first.setdefault(task, (dataset, options))
        expected, found = first.model_dump(), options.model_dump()
        keys = ["task_type"] if first.task_type != options.task_type else sorted(expected.keys() - OWN_KEYS)
        for key in keys:
            if found[key] != expected[key]:
                message = (
                    f"found {show(found[key])}, but '{task}' in {other} has {show(expected[key])}; tasks of one name "
                    "share one decoder, expected equal options or another name"
                )
                where.at(key).add(message)


def check_oversampling(
    where: Location, task: Any, tasks: Mapping[str, TaskOptions], *, is_trained: bool
) -> None:
    """Checks ``oversample`` of a dataset; if the config ``is_trained``, the task may not be switched off."""
    if not isinstance(task, str):
        return
    if task not in tasks:
        where.add(f"no task {show(task)} in this dataset{did_you_mean(task, tasks)}")
        return
    options = tasks[task]
    if is_trained and not options.is_on:
        where.add(f"'{task}' is switched off (loss_weight 0), expected a task that is trained, or null")
    if not options.has_classes:
        where.add(f"'{task}' ({options.task_type}) has no classes, expected a task with classes")
    for key in ("class_weights", "logit_adjustment", "distribution_balanced_loss"):
        if getattr(options, key, None):
            where.add(f"'{task}' has {key} too, expected one of them: {_FREQUENCY}")


def _task_type(where: Location, task_type: Any) -> str | None:
    supported = ", ".join(TASK_TYPES)
    if task_type is None:
        where.add(f"missing, expected one of {supported}")
    elif not isinstance(task_type, str):
        where.add(f"expected one of {supported}, found {show(task_type)}")
    elif task_type not in TASK_TYPES:
        where.add(f"unknown {show(task_type)}{did_you_mean(task_type, TASK_TYPES)}")
    else:
        return task_type
    return None


def _check_metrics(
    where: Location, given: Mapping[str, Any], known: Iterable[str], task_type: str | None = None
) -> None:
    """Adds an error for each unknown metric; values of a wrong type are reported by the validation."""
    for key in ("metric", "additional_metrics"):
        value = given.get(key)
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str) and name not in known:
                is_metric = any(name in model.metrics for model in BUILT_IN.values())
                found = f"'{task_type}' has no metric" if is_metric else "unknown"
                hint = nearest(name, known) or f"; known: {listed_metrics(known)}"
                where.at(key).add(f"{found} {show(name)}{hint}")


def _check_weight_column(where: Location, options: TaskOptions, *, has_words: bool | None) -> None:
    """Checks that the files of the dataset have the column or the comment for the weights of a task."""
    column = options.weight_column
    if column is None:
        return
    comment, task = f"-1, a comment '# {WEIGHT_COMMENT} = NUMBER',", where.keys[-2]
    is_label = task == WEIGHT_COMMENT and not options.columns() if column == COMMENT else column in options.columns()
    if has_words is None:
        where.add("a file of plain text has no weights, expected a dataset with word_idx or sent_idxs")
    elif not has_words and column == COMMENT:
        where.add("-1 is a comment of a file with word_idx, expected a column")
    elif has_words and isinstance(column, int) and column != COMMENT and not options.labels_words():
        where.add(f"'{options.task_type}' has no weights of words, expected {comment} found {column}")
    elif is_label:
        where.add("found where the labels of the task are, expected another column or another name of the task")


def _check_level(where: Location, options: TaskOptions, *, has_words: bool) -> None:
    """Checks that the dataset has the words or sentences that a task labels, and the column for its labels."""
    if options.input_type == "masked":
        return
    labels_words, columns = options.labels_words(), options.columns()
    where_column = where.at("column_idxs" if len(columns) > 1 else "column_idx")
    if (labels_words or options.input_type == "raw") and not has_words:
        what = "labels words" if labels_words else "makes words"
        message = f"'{options.task_type}' {what}, expected a dataset with word_idx, found sent_idxs"
        where.at("task_type").add(message)
    elif labels_words and not columns:
        where_column.add(f"-1 is a comment and '{options.task_type}' labels words, expected a column")
    elif not labels_words and has_words and any(isinstance(column, int) for column in columns):
        comment = f"expected -1, a comment '# {where.keys[-1]} = label', in a dataset with word_idx"
        where_column.add(f"{comment}, found {columns[0] if len(columns) == 1 else columns}")
    elif not labels_words and not has_words and not columns:
        where_column.add("-1 is a comment of a file with word_idx, expected a column")
