"""What is in the files: records, labels, subwords; knows nothing of decoders."""
