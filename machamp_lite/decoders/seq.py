"""``seq``: one label per word, from one column."""

from machamp_lite.config.task_types import SeqOptions
from machamp_lite.decoders.single_label import SingleLabelDecoder


class Seq(SingleLabelDecoder):
    """One linear layer from each word to the labels of the training data."""

    Options = SeqOptions
