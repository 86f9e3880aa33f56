"""The model of a run: new, or started from another model."""

import logging
from pathlib import Path

import torch

from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.loading import DEFAULT_PARAMS
from machamp_lite.config.schema import Config
from machamp_lite.dataloading.datasets import RunData
from machamp_lite.errors import counted
from machamp_lite.model.encoder import Encoder
from machamp_lite.model.multitask_model import Model, check_encoder, language_model_kind
from machamp_lite.model.precision import resolved
from machamp_lite.model.pretrained import load_transformer, with_language_model
from machamp_lite.model.serialization import load_model
from machamp_lite.training import warm_start
from machamp_lite.training.distributed import Processes

logger = logging.getLogger(__name__)


def with_init_model(config: Config, retrain: str | Path | None) -> tuple[Config, Model | None]:
    """The config with the encoder's name of the model that a run starts from, and that model, if there is one."""
    if retrain is None:
        return config, None
    init_model = load_model(retrain)
    given, used = config.params.transformer_model, init_model.config.params.transformer_model
    # A model folder has the last part of the name only.
    if Path(given).name != used and given != read_jsonnet(DEFAULT_PARAMS)["transformer_model"]:
        logger.warning(
            "transformer_model: '%s' has no effect with --retrain: the encoder is that of %s, '%s'",
            given,
            retrain,
            used,
        )
    return warm_start.with_encoder_of(init_model, config), init_model


def check_encoder_of_run(config: Config, init_model: Model | None) -> None:
    """Raises ``ConfigError`` if encoder and config do not fit, before data is read, which may take long."""
    if init_model is not None:
        check_encoder(init_model.encoder, config)
        return
    params = config.params
    # Without weights.
    with torch.device("meta"):
        pretrained = load_transformer(params.transformer_model, reset=True, kind=language_model_kind(config))
        check_encoder(Encoder(pretrained.encoder, params=params.encoder), config)


def build_model(
    config: Config, data: RunData, *, init_model: Model | None = None, reset: bool | None = None
) -> Model:
    """The model of a run: new decoders, and the encoder of ``init_model`` or a pretrained one.

    With ``reset``, the pretrained encoder gets random weights; by default the params decide.
    """
    params, kind = config.params, language_model_kind(config)
    if init_model is not None:
        pretrained = with_language_model(init_model.pretrained, kind)
    else:
        reset = params.reset_transformer_model if reset is None else reset
        pretrained = load_transformer(params.transformer_model, reset=reset, kind=kind)
    return Model(
        config=config.with_task_options(data.resolved_options),
        pretrained=pretrained,
        tokenizer=data.tokenizer,
        vocabularies=data.vocabularies,
    )


def log_model(model: Model, processes: Processes) -> None:
    """Logs the size of a model, where it is, and its precision."""
    encoder = sum(parameter.numel() for parameter in model.encoder.parameters())
    decoders = sum(parameter.numel() for parameter in model.parameters()) - encoder
    logger.info(
        "%s: %s parameters in the encoder, %s in the decoders of %s, on %s in %s",
        model.config.params.transformer_model,
        _shortened(encoder),
        _shortened(decoders),
        counted(len(model.tasks), "task"),
        model.device,
        resolved(model.precision, model.device),
    )
    if processes.world_size > 1:
        logger.info("%d processes", processes.world_size)


def _shortened(number: int) -> str:
    """A large number with three or more digits: 278.0M, 34.6K, 512."""
    return f"{number / 1e6:.1f}M" if number >= 1e6 else f"{number / 1e3:.1f}K" if number >= 1e3 else str(number)
