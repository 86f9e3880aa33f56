"""The search for hyperparameters with Optuna: trials are ordinary runs, in a folder that several processes share."""

from importlib.util import find_spec

from machamp_lite.errors import ConfigError

INSTALL = "pip install 'machamp_lite[tune]'"
# Optuna computes the importance of keys with scikit-learn.
REQUIRED = ("optuna", "sklearn")


def check_packages() -> None:
    """Raises ``ConfigError`` if a package is missing that the search requires."""
    if missing := [name for name in REQUIRED if find_spec(name) is None]:
        raise ConfigError(f"tune: found no package {' or '.join(missing)}; run {INSTALL}")
