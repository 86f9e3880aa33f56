"""The model card: README.md in the format of the Hugging Face hub, written from the files of a run."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

import machamp_lite
from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.errors import counted, one_line
from machamp_lite.export.card_info import CardInfo
from machamp_lite.export.provenance import encoder_name
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.run_files import HISTORY
from machamp_lite.inference.dataset_matching import describe
from machamp_lite.model.model_folder import CONFIG, LABELS, find_model_folder
from machamp_lite.model.saved_config import read_config
from machamp_lite.reporting.run_results import RunResults, read_run
from machamp_lite.reporting.tables import LabelRow, label_sections, score_rows

CARD = "README.md"
# The numbers of labels in a card.
WORST, MOST_FREQUENT = 5, 5
_LIBRARY = "machamp_lite"
# Options that weight labels, items or tasks, with their value if they are off.
_WEIGHTS: Mapping[str, Any] = {
    "class_weights": None,
    "focal_gamma": 0,
    "label_smoothing": 0,
    "logit_adjustment": 0,
    "asymmetric_loss": None,
    "distribution_balanced_loss": None,
    "weight_column": None,
    "loss_weight": 1,
}
_DECISIONS: Mapping[str, Any] = {
    "tau": 0,
    "offsets": None,
    "costs": None,
    "threshold": None,
    "min_confidence": 0,
    "temperature": None,
}


def card_text(path: str | Path, info: CardInfo) -> str:
    """The card of a run folder or model folder; without a run, it has no scores.

    Raises ``ConfigError`` if there is no model.
    """
    folder = find_model_folder(path)
    config, labels = read_config(folder / CONFIG), read_json_object(folder / LABELS)
    run = read_run(folder.parent) if folder.name == "model" and (folder.parent / HISTORY).is_file() else None
    encoder = encoder_name(path)
    sections = [
        _head(config, info, encoder, run),
        f"# {info.name}",
        _summary(config, encoder),
        _section("Tasks", _tasks(config, labels)),
        _section("Training data", _data(config, run)),
        _section("Scores", _scores(run)),
        *([_section("Labels", found)] if run is not None and (found := list(_labels(run))) else []),
        _section("Weights and decisions", _weights(config)),
        _section("Limits", _limits(config, labels, run)),
        _section("Use", _use(config, info.name)),
        _section("Reproduce", _reproduce(run)),
    ]
    return "\n\n".join(sections) + "\n"


def _section(title: str, lines: Sequence[str] | Iterator[str]) -> str:
    return "\n".join([f"## {title}", "", *lines])


def _head(config: Config, info: CardInfo, encoder: str, run: RunResults | None) -> str:
    """The metadata of the hub as YAML."""
    hub_tasks = list(dict.fromkeys(_hub_task(options) for options in _active(config).values()))
    data = ModelCardData(
        language=list(info.languages) or None,
        license=info.license,
        library_name=_LIBRARY,
        base_model=encoder if "/" in encoder else None,
        pipeline_tag=hub_tasks[0] if len(hub_tasks) == 1 else None,
        tags=[_LIBRARY, *hub_tasks],
        model_name=info.name,
        eval_results=list(_results(run)) or None,
    )
    return f"---\n{data.to_yaml().strip()}\n---"


def _results(run: RunResults | None) -> Iterator[EvalResult]:
    for dataset, tasks in (run.scores if run is not None else {}).items():
        for task, scores in tasks.items():
            assert run is not None
            options = run.tasks[task]
            for name in options.metric_names():
                if isinstance(value := scores.get(name), int | float):
                    yield EvalResult(
                        task_type=_hub_task(options),
                        dataset_type=dataset,
                        dataset_name=dataset,
                        dataset_split="validation",
                        metric_type=name,
                        # The hub joins the results of tasks of one type on one data set.
                        metric_name=f"{task} {name}",
                        metric_value=round(float(value), 6),
                    )


def _hub_task(options: TaskOptions) -> str:
    """The nearest task of the hub."""
    by_input = {"masked": "fill-mask", "subwords": "text-generation"}
    by_level = {"word": "token-classification", "sentence": "text-classification"}
    return by_input.get(options.input_type) or by_level[options.level]


def _active(config: Config) -> dict[str, TaskOptions]:
    return {task: options for task, options in config.tasks().items() if options.is_on}


def _summary(config: Config, encoder: str) -> str:
    tasks = _active(config)
    return (
        f"{counted(len(tasks), 'task')} on one shared encoder, fine-tuned from `{encoder}` with machamp_lite "
        f"{machamp_lite.__version__}. Trained on {', '.join(config.datasets)}."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(_cell(value) for value in row)} |"


def _cell(value: object) -> str:
    return one_line(str(value)).replace("|", "\\|")


def _tasks(config: Config, labels: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for name, dataset in config.datasets.items():
        for task, options in dataset.active().tasks.items():
            number = len(labels.get(task, {}).get("labels", [])) if options.has_classes else ""
            rows.append([task, options.task_type, name, describe(dataset), number])
    yield from _table(["task", "type", "data set", "reads", "labels"], rows)


def _data(config: Config, run: RunResults | None) -> Iterator[str]:
    sizes = run.environment.get("data", {}) if run is not None else {}
    rows = []
    for name in config.datasets:
        train, dev = (sizes.get(name, {}).get(part, {}) for part in ("train", "dev"))
        rows.append([name, *(part.get(key, "") for part in (train, dev) for key in ("sentences", "words"))])
    yield from _table(["data set", "training sentences", "words", "dev sentences", "words"], rows)


def _scores(run: RunResults | None) -> Iterator[str]:
    rows = [] if run is None else list(score_rows([run]))
    if run is None or not rows:
        yield "There are no scores: the model has no dev data, or its run folder is not known."
        return
    yield "On the dev data, which also chose the best epoch and the decisions: expect less on other data.\n"
    cells = [[row.dataset, row.task, row.metric, row.texts[0]] for row in rows]
    yield from _table(["data set", "task", "metric", "score"], cells)


def _labels(run: RunResults) -> Iterator[str]:
    """The most frequent labels and those with the lowest F1 of each task."""
    for section in label_sections([run]):
        rows = [row for row in section.rows if row.support]
        if not rows:
            continue
        frequent = sorted(rows, key=lambda row: (-row.support, row.label))[:MOST_FREQUENT]
        worst = sorted((row for row in rows if row not in frequent), key=lambda row: (row.f1, row.label))[:WORST]
        yield f"### {section.task} ({section.dataset})\n"
        if len(rows) > len(frequent) + len(worst):
            yield f"The {len(frequent)} most frequent and the {len(worst)} worst of {len(rows)} labels:\n"
        head = ["label", "precision", "recall", "F1", "in dev data", "in training data", "weight"]
        yield from _table(head, list(map(_label_row, [*frequent, *worst])))
        yield ""


def _label_row(row: LabelRow) -> list[object]:
    scores = [f"{100 * value:.2f}" for value in (row.precision, row.recall, row.f1)]
    weight = "" if row.weight is None else f"{row.weight:.3g}"
    return [row.label, *scores, row.support, "" if row.count is None else row.count, weight]


def _changed(options: TaskOptions, defaults: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: getattr(options, key, default) for key, default in defaults.items()}
    return {key: value for key, value in found.items() if value is not None and value != defaults[key]}


def _weights(config: Config) -> Iterator[str]:
    rows = [
        [task, *(json.dumps(_plain(_changed(options, part)), ensure_ascii=False) for part in (_WEIGHTS, _DECISIONS))]
        for task, options in _active(config).items()
    ]
    yield "Without options, all labels weigh 1 and the most probable one is predicted.\n"
    yield from _table(["task", "weights", "decisions"], [[_code(cell) for cell in row] for row in rows])
    oversampled = {name: d.oversample for name, d in config.datasets.items() if d.oversample}
    if oversampled:
        yield f"\nOversampled by the labels of a task: {json.dumps(oversampled, ensure_ascii=False)}"


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.model_dump() if hasattr(value, "model_dump") else value for key, value in values.items()}


def _code(cell: str) -> str:
    return "" if cell == "{}" else f"`{cell}`" if cell.startswith("{") else cell


def _limits(config: Config, labels: Mapping[str, Any], run: RunResults | None) -> Iterator[str]:
    params = config.params.encoder
    yield "- It knows only the labels of its training data, and predicts one of them for any input."
    yield (
        f"- It reads at most {params.max_input_length} subwords at a time: longer texts are "
        f"{'cut' if params.long_input == 'truncate' else 'read in overlapping parts'}, longer sentences read in parts."
    )
    rare = {
        task: [label for label, count in zip(entry["labels"], entry["counts"], strict=False) if count < 10]
        for task, entry in labels.items()
        if task in _active(config) and _active(config)[task].has_classes
    }
    if total := sum(map(len, rare.values())):
        parts = ", ".join(f"{task}: {len(names)}" for task, names in rare.items() if names)
        yield f"- {counted(total, 'label')} with fewer than 10 training items ({parts}); their scores say little."
    never = {
        f"{section.task} ({section.dataset})": [row.label for row in section.rows if row.support and not row.f1]
        for section in (label_sections([run]) if run is not None else ())
    }
    for where, names in never.items():
        if names:
            shown = ", ".join(f"`{one_line(name)}`" for name in names[:10])
            yield f"- Never predicted correctly in the dev data, {where}: {shown}{', ...' * (len(names) > 10)}"
    yield "- Texts of other languages, domains or periods than the training data are read with more errors."


def _use(config: Config, name: str) -> Iterator[str]:
    dataset, options = next(iter(config.datasets.items()))
    example = example_input(1 if options.sent_idxs is None else len(options.sent_idxs))
    argument, flag = "", ""
    if len(config.datasets) > 1:
        argument, flag = f", dataset={dataset!r}", f" --dataset {shlex.quote(dataset)}"
    yield f"""```bash
pip install machamp_lite
machamp-lite predict {name} input.{_suffix(options)} output.{_suffix(options)}{flag}
```

```python
import machamp_lite

model = machamp_lite.load("{name}")
print(model.predict({example}{argument}))
```"""


def example_input(number: int) -> str:
    """The Python code of one input with this number of texts."""
    texts = [f'"{text}"' for text in ("Trains run late.", "They were on time.")]
    # A tuple is one input, a list would be several.
    return texts[0] if number == 1 else f"({', '.join((texts * number)[:number])})"


def _suffix(dataset: DatasetConfig) -> str:
    return "conllu" if dataset.word_idx is not None else "tsv"


def _reproduce(run: RunResults | None) -> Iterator[str]:
    if run is None:
        yield "The configs of the run are not known."
        return
    yield """With the data in the paths of `dataset-configs.json`:

```bash
machamp-lite train --dataset_configs dataset-configs.json --parameters_config params-config.json
```
"""
    versions = run.environment.get("versions", {})
    if versions:
        yield f"Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}."
    machine = run.environment.get("machine", {})
    if machine:
        yield f"Device: {one_line(str(machine.get('device', '')))}; seed {run.params.get('random_seed')}."
    origin = run.environment.get("encoder") or {}
    if checksum := origin.get("sha256") or origin.get("revision"):
        kind = "sha256 of its weights" if "sha256" in origin else "revision"
        yield f"Encoder: `{origin.get('name')}`, {kind} `{checksum}`."
