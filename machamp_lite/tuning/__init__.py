"""The search for hyperparameters with Optuna: trials are ordinary runs, in a folder that several processes share."""

from importlib.util import find_spec

from machamp_lite.errors import ConfigError, missing_packages_line

# Optuna computes the importance of keys with scikit-learn.
REQUIRED = ("optuna", "sklearn")


def check_packages() -> None:
    """Raises ``ConfigError`` if a package is missing that the search requires."""
    if missing := [name for name in REQUIRED if find_spec(name) is None]:
        raise ConfigError(missing_packages_line("tune", missing, extra="tune"))
