"""Pushes a model to the Hugging Face hub: its files, its card, and the configs of its run without paths."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machamp_lite
from machamp_lite.errors import ConfigError, MachampError, first_line
from machamp_lite.export.card import CARD, card_text
from machamp_lite.export.card_info import CardInfo
from machamp_lite.export.provenance import public_name
from machamp_lite.files.atomic import replacing_folder, write_json
from machamp_lite.files.checksums import read_json_object
from machamp_lite.files.run_files import DATASET_CONFIGS, OUTPUT, PARAMS_CONFIG, SCORES
from machamp_lite.model.model_folder import find_model_folder, first_unknown_file, is_complete_model
from machamp_lite.model.safe_loading import check_links

_PATHS = ("train_data_path", "dev_data_path")
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What is pushed and where: ``with_predictions`` adds the predictions of dev files, which contain their text."""

    repo: str
    card: CardInfo
    private: bool = False
    with_predictions: bool = False


def write_files(path: str | Path, folder: Path, push: Push) -> list[str]:
    """Writes the files that would be pushed to a folder; returns their names.

    Raises ``ConfigError`` for a model folder with files that this program did not write.
    """
    model = find_model_folder(path)
    check_links(model)
    if not is_complete_model(model) or first_unknown_file(model) is not None:
        raise ConfigError(f"{model}: has missing, changed or other files, expected exactly those of a saved model")
    run = model.parent if model.name == "model" else None
    with replacing_folder(folder) as new:
        shutil.copytree(model, new, dirs_exist_ok=True)
        (new / CARD).write_text(card_text(path, push.card), encoding="utf-8")
        if run is not None:
            for name, document in _public_configs(run):
                write_json(new / name, document)
            for source in _predictions(run) if push.with_predictions else ():
                shutil.copyfile(source, new / source.name)
        return sorted(str(found.relative_to(new)) for found in new.rglob("*") if found.is_file())


def push_model(path: str | Path, push: Push) -> str:
    """Creates the repository if necessary, and commits all files at once; returns its address.

    Raises ``ConfigError`` for a wrong name or without a login, and ``MachampError`` if the hub refuses it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError

    api = HfApi(library_name="machamp_lite", library_version=machamp_lite.__version__)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        write_files(path, folder, push)
        try:
            # None leaves an existing repository as it is.
            api.create_repo(push.repo, private=push.private or None, exist_ok=True)
            message = f"Model of machamp_lite {machamp_lite.__version__}"
            commit = api.upload_folder(repo_id=push.repo, folder_path=folder, commit_message=message)
        except HFValidationError as error:
            raise ConfigError(f"{push.repo}: is no name of a model on the hub ({first_line(error)})") from None
        except LocalTokenNotFoundError:
            raise ConfigError(f"{push.repo}: found no login for the Hugging Face hub; {_LOG_IN}") from None
        except Exception as error:
            # The classes depend on the version of huggingface_hub and on its network library.
            raise MachampError(f"{push.repo}: the hub did not accept it ({first_line(error)}); {_LOG_IN}") from error
    return str(getattr(commit, "commit_url", None) or push.repo)


def _public_configs(run: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The configs of a run; of paths in them, only the last part is kept."""
    if params := read_json_object(run / PARAMS_CONFIG):
        yield PARAMS_CONFIG, params | {"transformer_model": public_name(str(params.get("transformer_model", "")))}
    if datasets := read_json_object(run / DATASET_CONFIGS):
        yield (
            DATASET_CONFIGS,
            {
                name: {
                    key: Path(value).name if key in _PATHS and isinstance(value, str) else value
                    for key, value in dataset.items()
                }
                for name, dataset in datasets.items()
            },
        )


def _predictions(run: Path) -> list[Path]:
    return [found for ending in (OUTPUT, SCORES) for found in sorted(run.glob(f"*{ending}")) if found.is_file()]
