"""One training run, from a checked config to a run folder."""

import hashlib
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from machamp_lite.batching.instances import sentences
from machamp_lite.batching.sampler import Sampler
from machamp_lite.config.schema import Config
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.evaluation import ScoreKeeper
from machamp_lite.files import write_json
from machamp_lite.model import Model, language_model_kind
from machamp_lite.predictor import predict_file
from machamp_lite.pretrained import load_transformer, with_language_model
from machamp_lite.report import describe_data
from machamp_lite.training import retraining, run_folder
from machamp_lite.training.checkpoint import FORMAT, load_best_weights, load_model, save_model
from machamp_lite.training.optimization import make_optimizer
from machamp_lite.training.run_data import RunData, read_data, training_streams
from machamp_lite.training.run_folder import default_run_folder, make_run_folder
from machamp_lite.training.state import Progress, load_progress, load_state, save_state
from machamp_lite.training.trainer import seed_everything, train_epochs

__all__ = [
    "RunData",
    "build_model",
    "check",
    "check_all",
    "default_run_folder",
    "make_run_folder",
    "read_data",
    "train",
]

logger = logging.getLogger(__name__)


def check(config: Config, *, retrain: str | Path | None = None) -> list[str]:
    """Reads all data and says what is in it, as lines; nothing is trained or written.

    With ``retrain``, also says what would be taken over from that model.
    """
    config, former = _start(config, retrain)
    data = read_data(config, former)
    with torch.device("meta"):
        # Without weights: only whether tasks and encoder fit.
        model = build_model(config, data, former=former, reset=True)
    encoder = config.params.encoder
    words = WordTokenizer(
        data.tokenizer, max_input_length=encoder.max_input_length, long_input=encoder.long_input
    )
    lines = describe_data(
        config, tokenizer=words, vocabularies=data.vocabularies, train=data.train, dev=data.dev
    )
    if former is not None:
        lines += [f"from {retrain}", *(f"  {line}" for line in retraining.describe(model, former))]
    return lines


def check_all(configs: Sequence[Config], *, retrain: str | Path | None = None) -> list[str]:
    """As ``check``, for runs one after another; raises one error with the faults of all."""
    lines: list[str] = []
    faults: list[str] = []
    for config in configs:
        try:
            lines += check(config, retrain=retrain)
        except (ConfigError, DataError) as error:
            faults += error.faults
    if faults:
        raise DataError(dict.fromkeys(faults))
    return lines


def build_model(
    config: Config, data: RunData, *, former: Model | None = None, reset: bool | None = None
) -> Model:
    """The model of a run, its decoders with fresh weights and its encoder that of the ``former`` model, if any.

    ``reset`` is for an encoder that is not a former model's, by default as params say.
    """
    params, kind = config.params, language_model_kind(config)
    reset = params.reset_transformer_model if reset is None else reset
    return Model(
        config=config,
        pretrained=with_language_model(former.pretrained, kind)
        if former
        else load_transformer(params.transformer_model, reset=reset, kind=kind),
        tokenizer=data.tokenizer,
        vocabularies=data.vocabularies,
    )


def train(
    config: Config,
    folder: str | Path,
    *,
    device: str = "cpu",
    progress: bool = True,
    resume: bool = False,
    retrain: str | Path | None = None,
) -> dict[str, ScoreKeeper]:
    """Trains a model into a run folder, made if need be, and predicts every dev file with its best epoch.

    With ``resume``, goes on after the last epoch that the folder's run has finished, as if it had never stopped; raises
    ``ConfigError`` if it cannot. With ``retrain``, starts from the model of that folder. Returns what holds the scores
    of the best epoch's predictions, by dataset.
    """
    seed_everything(config.params.random_seed)
    folder = Path(folder)
    if resume:
        # The encoder and the order of labels are those of the run's own model, wherever they came from.
        done = load_progress(folder / run_folder.STATE)
        run_folder.settle_epochs(folder, [epoch for epoch, _ in done.best_epochs])
        former: Model | None = load_model(folder / run_folder.MODEL)
    else:
        done = Progress()
        config, former = _start(config, retrain)
    # Before the folder is a run's: once faults of the data are mended, the same folder can be used.
    data = read_data(config, former)
    for name, instances in data.train.items():
        logger.info(
            "%s: %d training sentences, %d dev sentences",
            name,
            len(sentences(instances)),
            len(sentences(data.dev.get(name, ()))),
        )
    model = build_model(config, data, former=former)
    if former is not None and not resume:
        retraining.take_over(model, former)
        logger.info("starts from %s", retrain)
        for line in retraining.describe(model, former):
            logger.info("  %s", line)
    # It shares its encoder with the model, and its decoders are not needed any more.
    del former
    model.to(device)
    _log_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = make_optimizer(model, config.params.training)
    depends_on = _depends_on(config)
    if resume:
        state = folder / run_folder.STATE
        done = load_state(state, model=model, optimizer=optimizer, depends_on=depends_on)
        logger.info("goes on after epoch %d", done.epoch)
    else:
        run_folder.remove_older_run(folder, config)
        run_folder.write_configs(folder, config)

    def after_epoch(done: Progress) -> None:
        kept = [epoch for epoch, _ in done.best_epochs]
        if done.epoch in kept:
            save_model(model, run_folder.epoch_folder(folder, done.epoch))
        write_json(folder / run_folder.METRICS, done.metrics)
        state = folder / run_folder.STATE
        save_state(state, model=model, optimizer=optimizer, progress=done, depends_on=depends_on)
        run_folder.settle_epochs(folder, kept)
        if config.params.training.keep_top_n > 1:
            others = ", ".join(map(str, kept[1:])) or "none yet"
            logger.info("  kept: epoch %d in model/, in epochs/: %s", kept[0], others)

    train_epochs(
        model,
        optimizer=optimizer,
        done=done,
        sampler=Sampler(
            training_streams(config, data), config.params.batching, seed=config.params.random_seed
        ),
        dev=data.dev,
        after_epoch=after_epoch,
        show_bar=progress,
    )
    load_best_weights(model, folder / run_folder.MODEL)
    run_folder.write_layer_weights(folder, model)
    keepers = predict_dev(model, config, folder)
    shutil.rmtree(folder / run_folder.STATE, ignore_errors=True)
    return keepers


def _start(config: Config, retrain: str | Path | None) -> tuple[Config, Model | None]:
    """The former model of a run that has one, and the config with its encoder's name."""
    if retrain is None:
        return config, None
    former = load_model(retrain)
    return retraining.with_encoder_of(former, config), former


def _depends_on(config: Config) -> dict[str, Any]:
    """What must be as it was for a run to go on: versions, and the bytes of its data files."""
    versions = {"torch": torch.__version__, "machamp_lite": FORMAT}
    paths = [path for data in config.datasets.values() for path in (data.train_data_path, data.dev_data_path)]
    return versions | {path: _checksum(path) for path in paths if path}


def _checksum(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def predict_dev(model: Model, config: Config, folder: Path) -> dict[str, ScoreKeeper]:
    """Predicts each dev file into ``DATASET.out``, with scores in ``DATASET.out.eval``."""
    keepers = {}
    for name, dataset in config.datasets.items():
        if dataset.dev_data_path is not None:
            keepers[name] = ScoreKeeper(dataset.tasks)
            target = folder / f"{name}.out"
            predict_file(model, dataset.dev_data_path, target, dataset=name, keeper=keepers[name])
    return keepers


def _log_model(model: Model) -> None:
    encoder = sum(parameter.numel() for parameter in model.encoder.parameters())
    decoders = sum(parameter.numel() for parameter in model.parameters()) - encoder
    logger.info(
        "%s: %.1fM parameters in the encoder, %.1fM in the decoders of %d tasks, on %s",
        model.config.params.transformer_model,
        encoder / 1e6,
        decoders / 1e6,
        len(model.tasks),
        model.device,
    )
