"""Reads data files: records, words, labels and subwords; independent of decoders."""
