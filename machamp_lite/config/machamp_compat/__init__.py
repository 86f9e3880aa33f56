"""Configs of MaChAmp 0.1 to 0.4: tables of its keys, and their translation into the current ones.

Facts about MaChAmp are from its public repository, https://github.com/machamp-nlp/machamp.
"""

from machamp_lite.config.machamp_compat.migration import (
    OLD_PARAMS_KEYS,
    current_value,
    is_params,
    migrate_dataset,
    migrate_params,
)
from machamp_lite.config.machamp_compat.tables import NOTHING

__all__ = ["NOTHING", "OLD_PARAMS_KEYS", "current_value", "is_params", "migrate_dataset", "migrate_params"]
