"""Configs of MaChAmp 0.1 to 0.4: tables of its keys, and their translation into the current ones.

Facts about MaChAmp are from its public repository, https://github.com/machamp-nlp/machamp.
"""

from machamp_lite.config.machamp_compat.migration import (
    current_key,
    is_params,
    migrate_dataset,
    migrate_params,
)

__all__ = ["current_key", "is_params", "migrate_dataset", "migrate_params"]
