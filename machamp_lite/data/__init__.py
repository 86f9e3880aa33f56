"""Reads and writes data files, and tokenizes text; independent of decoders."""
