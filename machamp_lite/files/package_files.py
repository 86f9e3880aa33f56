"""The files of ``configs/`` that are part of the package: params and JSON Schemas."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# An installed package contains them; in a checkout they are next to it.
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
CONFIGS = next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])
DEFAULT_PARAMS = CONFIGS / "params.json"
# The JSON Schema of each kind of config.
SCHEMAS = {"datasets": CONFIGS / "schema" / "dataset.schema.json", "params": CONFIGS / "schema" / "params.schema.json"}


def find_params(given: str | Path) -> Path:
    """The path of params; the params of the package are also found by their name alone, such as params-machamp.json."""
    path = Path(given)
    shipped = {params.name: params for params in CONFIGS.glob("params*.json")}
    return path if path.exists() else shipped.get(str(given), path)
