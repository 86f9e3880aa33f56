"""The sections of scripts/benchmark.py: what is measured, and how it is shown."""
