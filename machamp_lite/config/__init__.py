"""Reads configs into frozen, validated objects; every default comes from ``configs/params.json``."""

from machamp_lite.config.loading import load_config
from machamp_lite.config.schema import Config, DatasetConfig, Params

__all__ = ["Config", "DatasetConfig", "Params", "load_config"]
