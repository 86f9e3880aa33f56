"""The positive label of tasks with a metric such as ``f1_binary``."""

from collections.abc import Iterator, Mapping

from machamp_lite.config.schema import Config
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.errors import first_items, shown_label
from machamp_lite.metrics.class_scores import default_positive_label, is_clear


def positive_labels(config: Config, vocabularies: Mapping[str, Vocabulary]) -> dict[str, str]:
    """The positive label of each task that needs one: that of its options, or one of its training labels."""
    return {
        task: options.positive_label or default_positive_label(vocabularies[task].labels)
        for task, options in config.tasks().items()
        if options.has_positive_label and len(vocabularies[task])
    }


def positive_label_warnings(config: Config, vocabularies: Mapping[str, Vocabulary]) -> Iterator[str]:
    """A warning about each task whose positive label is a guess."""
    for task, label in positive_labels(config, vocabularies).items():
        options, labels = config.tasks()[task], vocabularies[task].labels
        if options.positive_label is None and not is_clear(labels):
            metrics = ", ".join(name for name in options.metric_names() if name.endswith("_binary"))
            yield (
                f"task '{task}': {metrics} scores only the label {shown_label(label)}, because it is the last one in "
                f"sorted order of {first_items(sorted(map(shown_label, labels)))}; set positive_label of the task"
            )
