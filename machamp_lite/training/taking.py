"""Checks and locks the folder of a run, and keeps the run from replacing its own inputs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from machamp_lite.config.schema import Config
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes
from machamp_lite.training.folder_checks import check_empty_names, check_run_folder, taken
from machamp_lite.training.run_folder import MODEL


def inputs_of(config: Config, retrain: str | Path | None = None) -> list[str | Path]:
    """What a run reads from the disk: data, configs, a pretrained encoder, a model to start from."""
    data = [path for own in config.datasets.values() for path in (own.train_data_path, own.dev_data_path)]
    given = [*data, *config.sources.values(), config.params_source, config.params.transformer_model]
    found: list[str | Path] = [path for path in given if path is not None]
    if retrain is not None:
        found += [Path(retrain) / MODEL, retrain]
    return found


def check_folders(
    folders: Sequence[Path], configs: Sequence[Config], *, overwrite: bool, retrain: str | Path | None
) -> None:
    """Raises ``ConfigError`` if one of several new runs may not have its folder; nothing is written."""
    inputs = [path for config in configs for path in inputs_of(config, retrain)]
    for folder, config in zip(folders, configs, strict=True):
        check_run_folder(folder, datasets=config.datasets, overwrite=overwrite, inputs=inputs)


@contextmanager
def taking(
    folder: str | Path,
    config: Config,
    *,
    overwrite: bool = False,
    resume: bool = False,
    retrain: str | Path | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> Iterator[Path]:
    """A run folder, checked, made if need be, and locked until the block ends.

    It must be new or empty, or hold a run that is to be overwritten or resumed; raises ``ConfigError`` otherwise, and
    if another training is in it. Of several ``processes``, the first one holds the lock for all.
    """
    check_empty_names({"folder": folder, "retrain": retrain})
    folder = Path(folder)
    with ExitStack() as stack:

        def take() -> None:
            stack.enter_context(
                taken(
                    folder,
                    datasets=list(config.datasets),
                    overwrite=overwrite,
                    resume=resume,
                    inputs=inputs_of(config, retrain),
                )
            )

        processes.together(take if processes.is_main_process else lambda: None)
        yield folder
