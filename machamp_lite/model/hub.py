"""Downloads models of the Hugging Face hub; their folders are then loaded with the same checks as any other folder."""

import logging
import os
import re
from pathlib import Path

from machamp_lite.errors import ConfigError, first_line, nearest_file
from machamp_lite.model.model_folder import CONFIG, ENCODER, LABELS, WEIGHTS

logger = logging.getLogger(__name__)

# The files of a model. Nothing else is downloaded.
MODEL_FILES = (CONFIG, LABELS, WEIGHTS, f"{ENCODER}/*")
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?", re.ASCII)


def find_or_download(path: str | Path, *, revision: str | None = None) -> Path:
    """A local folder, or the folder of the model ``user/name`` or ``user/name@revision`` of the hub.

    A local folder of that name wins. Without a revision, a name in a local folder (``runs/frist``) is never sent to the
    hub. Raises ``ConfigError`` if there is neither.
    """
    match = _NAME.fullmatch(str(path))
    if match is None or os.path.lexists(path):
        if revision is not None:
            raise ConfigError(f"revision: found {revision!r} for {path}, which is not a name on the hub (user/name)")
        return Path(path)
    if match["revision"] and revision is not None:
        raise ConfigError(f"revision: found {revision!r} and {path}, expected one revision")
    revision = match["revision"] or revision
    if revision is None and os.path.isdir(os.path.dirname(path)):
        raise ConfigError(
            f"{path}: found no such folder, expected a run folder, its model folder, or, for a model of the hub, "
            f"{path}@main{nearest_file(str(path))}"
        )
    return _download(match["name"], revision)


def _download(name: str, revision: str | None) -> Path:
    # Not at the top: it takes 0.1 s.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    folder = _cache() / name.replace("/", "--") / (revision or "main").replace("/", "--")
    try:
        # In a folder of its own, because the links in the hub's cache lead out of a model folder.
        snapshot_download(name, revision=revision, local_dir=folder, allow_patterns=list(MODEL_FILES))
    except LocalEntryNotFoundError:
        raise ConfigError(
            f"{name}: found no such folder, and the Hugging Face hub cannot be reached; expected a run folder, its "
            "model folder, or the name of a model on the hub"
        ) from None
    except Exception as error:
        # The classes depend on the version of huggingface_hub and on its network library.
        raise ConfigError(
            f"{name}: found no such folder, and no model of this name on the Hugging Face hub ({first_line(error)})"
        ) from None
    logger.info("%s: downloaded to %s", name, folder)
    return folder


def _cache() -> Path:
    """The folder of downloaded models: ``$XDG_CACHE_HOME/machamp_lite/hub``, by default in ``~/.cache``."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "machamp_lite" / "hub"
