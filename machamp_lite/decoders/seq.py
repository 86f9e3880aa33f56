"""``seq``: one label per word, from one column."""

from machamp_lite.config.task_types import SeqOptions
from machamp_lite.decoders.base import LabelDecoder


class Seq(LabelDecoder):
    """One linear layer from each word to the labels of the training data."""

    Options = SeqOptions
