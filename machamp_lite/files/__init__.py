"""Atomic writes, temporary files, streams and checksums."""
