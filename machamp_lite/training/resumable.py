"""Whether a folder has a run that can be resumed; imports no torch."""

from pathlib import Path

from machamp_lite.errors import nearest_file
from machamp_lite.files.run_files import DATASET_CONFIGS, MODEL, PARAMS_CONFIG, STATE, STATE_FILE


def resume_fault(folder: str | Path) -> str | None:
    """Why there is no run to resume in a folder; None if there is one."""
    path = Path(folder)
    if all((path / name).exists() for name in (DATASET_CONFIGS, PARAMS_CONFIG, f"{STATE}/{STATE_FILE}")):
        return None
    if not path.exists():
        return f"there is no such folder{nearest_file(str(folder))}"
    if not (path / DATASET_CONFIGS).exists():
        return f"it is not a run folder, expected one with {DATASET_CONFIGS}"
    if (path / MODEL).exists():
        return f"the run is finished; to train its model further, start a new run with --retrain {folder}"
    return "the run was stopped before it saved a state; start it again with --overwrite"
