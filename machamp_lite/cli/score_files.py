"""The evaluate command without a model: scores files of predictions against files with gold labels."""

import argparse
import contextlib

from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.score_output import print_scores
from machamp_lite.errors import one_line
from machamp_lite.files.streams import readable


def score_files(flags: argparse.Namespace) -> int:
    """Prints the scores of each pair of ``flags.pairs``: a file with gold labels, and one with predictions."""
    set_up_logging(flags.log_level)
    from machamp_lite.config.joint_datasets import find_dataset
    from machamp_lite.config.loading import load_config
    from machamp_lite.data.vocabulary import Vocabulary
    from machamp_lite.inference.dataset_matching import matching_datasets
    from machamp_lite.inference.predicted_scores import score_predictions

    config = load_config(flags.dataset_configs, overrides=flags.overrides, is_trained=False)
    with contextlib.ExitStack() as stack:
        pairs = [(stack.enter_context(readable(one)), stack.enter_context(readable(two))) for one, two in flags.pairs]
        # Of several datasets, the format of a file decides.
        no_labels = {task: Vocabulary() for task in config.tasks()}
        datasets = matching_datasets(config, flags.dataset, [gold for gold, _ in pairs], vocabularies=no_labels)
        for (gold, predicted), dataset in zip(pairs, datasets, strict=True):
            tracker = score_predictions(find_dataset(config, dataset), gold=gold, predicted=predicted)
            if len(pairs) > 1:
                print(f"{one_line(str(predicted))}:")
            print_scores({dataset: tracker})
    return 0
