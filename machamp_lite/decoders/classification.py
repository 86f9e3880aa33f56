"""``classification``: one label per sentence, from a TSV column or from a ``# task = label`` comment."""

from machamp_lite.config.task_types import ClassificationOptions
from machamp_lite.decoders.single_label import SingleLabelDecoder


class Classification(SingleLabelDecoder):
    """One linear layer from the state of a sentence to the labels of the training data."""

    Options = ClassificationOptions
