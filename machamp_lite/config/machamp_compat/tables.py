"""Keys of MaChAmp's configs that are not keys here, each with its counterpart.

A key is written with dots; ``*`` is any key, which the counterpart may repeat. Rows apply in order, so that a row of a
whole object moves what the rows before it have left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# In place of a value: the key is left out.
NOTHING = object()


@dataclass(frozen=True, slots=True)
class Moved:
    """A key with another name or place; ``convert`` changes its value, and ``warning`` says what else changes."""

    to: str
    convert: Callable[[Any], Any] = lambda value: value
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """A key that is not an option here; ``values`` agree with what is always done.

    Any other value is an error, or with ``warning``, which says what happens instead, has no effect.
    """

    values: tuple[Any, ...] = ()
    warning: str | None = None


# A key that says nothing by itself, whatever its value.
LEFT_OUT = Fixed(warning="")

Table = dict[str, Moved | Fixed]


def _lookup(*pairs: tuple[Any, Any]) -> Callable[[Any], Any]:
    """Replaces a value by that of its pair; other values stay as they are, so that they are checked later."""
    # Compares types too, because 0 == False.
    return lambda value: next(
        (new for old, new in pairs if type(old) is type(value) and old == value), value
    )


_UNLIMITED = _lookup((0, NOTHING), (-1, NOTHING))
_LAST_LAYER = _lookup((True, [-1]), (False, "all"))

_NO_CHAIN = "no task reads the predictions of another one"
_PRETRAINED_DECODER = "text is written by the pretrained decoder of transformer_model, such as that of T5"

# Of tasks, and of "decoders -> TASK_TYPE" in params.
TASK_KEYS: Table = {
    "beam_size": Moved("num_beams"),
    "max_decoding_steps": Moved("max_output_length"),
    "use_bleu": Moved("metric", _lookup((True, "bleu"), (False, NOTHING))),
    "use_mst_decoding_for_validation": Fixed((True,), "trees are always decoded as maximum spanning trees"),
    "order": Fixed((0, 1), _NO_CHAIN),
    "prev_task_embed_dim": Fixed((0,), _NO_CHAIN),
    "adaptive": Fixed(warning="labels are always predicted with an exact softmax"),
    "max_heads": Fixed((0,), "all labels above the threshold are predicted"),
    "layer": Fixed((12,), "layers_to_use chooses the layers that a task reads"),
    "attention": Fixed(("dot_product",), _PRETRAINED_DECODER),
    "target_decoder_layers": Fixed((2,), _PRETRAINED_DECODER),
    "target_embedding_dim": Fixed((256, 512), _PRETRAINED_DECODER),
}

DATASET_KEYS: Table = {
    # MaChAmp's documentation has a number for one column of texts.
    "sent_idxs": Moved("sent_idxs", lambda value: [value] if type(value) is int else value),
    "validation_data_path": Moved("dev_data_path"),
    "dec_dataset_embed_idx": Moved("dataset_embed_idx"),
    "enc_dataset_embed_idx": Moved(
        "dataset_embed_idx", warning="the ids of datasets are read by the decoders, not by the encoder"
    ),
    "max_sents": Moved("max_sents", _lookup((-1, NOTHING))),
    "max_words": Moved("max_words", _lookup((-1, NOTHING))),
    "test_data_path": Fixed(
        warning="test files are not read in training; predict them with: predict.py RUN INPUT OUTPUT"
    ),
    "copy_other_columns": Fixed(warning="columns that belong to no task are always copied"),
}

_EMBEDDER = "model.text_field_embedder"
_SCHEDULER = "trainer.learning_rate_scheduler"

PARAMS_KEYS: Table = {
    # 0.4
    "encoder.subword_strategy": Fixed(("last",)),
    "encoder.layers_to_use": Moved("decoders.default_decoder.layers_to_use"),
    "default_dec_dataset_embeds_dim": Moved("encoder.dataset_embeds_dim"),
    "training.learning_rate_scheduler.type": Fixed(("slanted_triangular",)),
    "training.optimizer.type": Fixed(("adamw",)),
    "training.optimizer.correct_bias": Fixed((False, True)),
    # 0.1 to 0.3
    "numpy_seed": LEFT_OUT,
    "pytorch_seed": LEFT_OUT,
    "datasets_for_vocab_creation": LEFT_OUT,
    "vocabulary": LEFT_OUT,
    "dataset_reader.type": LEFT_OUT,
    "dataset_reader.lazy": LEFT_OUT,
    "dataset_reader.do_lowercase": Fixed((False,), "the tokenizer of transformer_model decides about lower case"),
    "dataset_reader.source_max_tokens": Moved("encoder.max_input_length"),
    "dataset_reader.target_max_tokens": LEFT_OUT,
    "dataset_reader.target_token_indexers": LEFT_OUT,
    "dataset_reader.target_tokenizer": LEFT_OUT,
    "dataset_reader.token_indexers.tokens.model_name": Moved("transformer_model"),
    "dataset_reader.token_indexers.tokens.max_length": Moved("encoder.max_input_length"),
    "dataset_reader.token_indexers": LEFT_OUT,
    "dataset_reader.tokenizer.model_name": Moved("transformer_model"),
    "dataset_reader.tokenizer": LEFT_OUT,
    "model.type": LEFT_OUT,
    "model.dropout": Moved("encoder.dropout"),
    "model.default_max_sents": Moved("datasets.max_sents", _UNLIMITED),
    "model.dataset_embeds_dim": Moved("encoder.dataset_embeds_dim", _UNLIMITED),
    "model.dec_dataset_embeds_dim": Moved("encoder.dataset_embeds_dim", _UNLIMITED),
    "model.encoder.cls_is_last_token": Fixed(
        (False,), "tasks on sentences read the first subword, with decoder-only models the last one"
    ),
    "model.encoder": LEFT_OUT,
    "model.decoders.mlm.pretrained_model": Moved("transformer_model"),
    "model.decoders.unsupervised.pretrained_model": Moved("transformer_model"),
    "model.decoders.*.type": LEFT_OUT,
    "model.decoders.*.input_dim": LEFT_OUT,
    "model.decoders.unsupervised": Moved("decoders.mlm"),
    "model.decoders.default": Moved("decoders.default_decoder"),
    "model.decoders.*": Moved("decoders.*"),
    "model.default_decoder.encoder": LEFT_OUT,
    "model.default_decoder": Moved("decoders.default_decoder"),
    "model.default_dataset": LEFT_OUT,
    "model.mix_embedding": Moved("decoders.default_decoder.layers_to_use", _lookup((True, "all"), (False, [-1]))),
    "model.weight_embeddings": LEFT_OUT,
    "model.layer_dropout": Fixed((0,), "layers are mixed without dropout"),
    "model.word_dropout": Fixed((0,), "words are never dropped; encoder.dropout is another regularization"),
    f"{_EMBEDDER}.type": LEFT_OUT,
    f"{_EMBEDDER}.allow_unmatched_keys": LEFT_OUT,
    f"{_EMBEDDER}.embedder_to_indexer_map": LEFT_OUT,
    f"{_EMBEDDER}.dropout": Moved("encoder.dropout"),
    f"{_EMBEDDER}.token_embedders.*.type": LEFT_OUT,
    f"{_EMBEDDER}.token_embedders.*.model_name": Moved("transformer_model"),
    f"{_EMBEDDER}.token_embedders.*.pretrained_model": Moved("transformer_model"),
    f"{_EMBEDDER}.token_embedders.*.max_length": Moved("encoder.max_input_length"),
    f"{_EMBEDDER}.token_embedders.*.train_parameters": Moved("encoder.update_weights_encoder"),
    f"{_EMBEDDER}.token_embedders.*.requires_grad": Moved("encoder.update_weights_encoder"),
    f"{_EMBEDDER}.token_embedders.*.layers_to_use": Moved("decoders.default_decoder.layers_to_use"),
    f"{_EMBEDDER}.token_embedders.*.last_layer_only": Moved("decoders.default_decoder.layers_to_use", _LAST_LAYER),
    f"{_EMBEDDER}.token_embedders.*.combine_layers": Moved(
        "decoders.default_decoder.layers_to_use", _lookup(("mix", "all"), ("last", [-1]))
    ),
    f"{_EMBEDDER}.token_embedders.*.dropout": Fixed((0,), "the dropout inside the encoder is that of its own config"),
    f"{_EMBEDDER}.token_embedders.*.layer_dropout": Fixed((0,), "layers are mixed without dropout"),
    "data_loader.batch_sampler.type": LEFT_OUT,
    "data_loader.batch_sampler.sorting_keys": Moved("batching.sort_by_size", bool),
    "data_loader.batch_sampler.*": Moved("batching.*"),
    "iterator.type": LEFT_OUT,
    "iterator.sorting_keys": Moved("batching.sort_by_size", bool),
    "iterator.biggest_batch_first": LEFT_OUT,
    "iterator.track_epoch": LEFT_OUT,
    "iterator.batch_size": Moved("batching.batch_size"),
    "iterator.maximum_samples_per_batch": Moved(
        "batching.max_tokens", lambda value: value[-1] if isinstance(value, list) and value else value
    ),
    "iterator.proportional_sampling": Moved(
        "batching.sampling_smoothing", _lookup((True, 0.0), (False, 1.0))
    ),
    "trainer.num_epochs": Moved("training.num_epochs"),
    "trainer.patience": Moved("training.patience"),
    "trainer.grad_norm": Moved("training.grad_norm"),
    "trainer.use_amp": Moved("training.precision", _lookup((True, "auto"), (False, "fp32"))),
    "trainer.num_gradient_accumulation_steps": Moved("training.accumulation_steps"),
    "trainer.num_serialized_models_to_keep": Moved("training.keep_top_n"),
    "trainer.checkpointer.num_serialized_models_to_keep": Moved("training.keep_top_n"),
    "trainer.checkpointer.keep_most_recent_by_count": Moved("training.keep_top_n"),
    "trainer.grad_clipping": Fixed((None,), "gradients are clipped by their norm only, see training.grad_norm"),
    "trainer.cuda_device": Fixed(warning="the flag --device chooses the device"),
    "trainer.validation_metric": Fixed(
        ("+.run/.sum",), "the best epoch is that with the highest sum of the main metrics of all tasks"
    ),
    "trainer.run_confidence_checks": LEFT_OUT,
    "trainer.should_log_learning_rate": LEFT_OUT,
    "trainer.should_log_parameter_statistics": LEFT_OUT,
    "trainer.summary_interval": LEFT_OUT,
    "trainer.optimizer.type": Fixed(("bert_adam", "huggingface_adamw", "adamw")),
    "trainer.optimizer.correct_bias": Fixed((False, True)),
    "trainer.optimizer.parameter_groups": LEFT_OUT,
    "trainer.optimizer.*": Moved("training.optimizer.*"),
    f"{_SCHEDULER}.type": Fixed(
        ("slanted_triangular",), "learning rates rise for cut_frac of the steps and then fall to 1/32"
    ),
    f"{_SCHEDULER}.model_size": LEFT_OUT,
    f"{_SCHEDULER}.warmup_steps": LEFT_OUT,
    f"{_SCHEDULER}.start_step": LEFT_OUT,
    f"{_SCHEDULER}.factor": LEFT_OUT,
    f"{_SCHEDULER}.*": Moved("training.learning_rate_scheduler.*"),
}
# The sections of params before 0.4; what no row moves is an error.
OLD_SECTIONS = ("dataset_reader", "model", "data_loader", "iterator", "trainer")

TASK_TYPES = {"unsupervised": "mlm"}

METRICS = {
    "acc": "accuracy",
    "micro-f1": "f1_micro",
    "macro-f1": "f1_macro",
    "multi_span_f1": "span_f1",
    "machamp_span_f1": "span_f1",
    "LAS": "las",
    "UAS": "uas",
}
_SETS = {
    "acc": "multi_acc",
    "micro-f1": "multi_f1_micro",
    "macro-f1": "multi_f1_macro",
    "span_f1": "multi_f1_micro",
    "multi_span_f1": "multi_f1_micro",
}
METRICS_OF_TYPES = {
    "multiseq": _SETS,
    "multiclas": _SETS,
    "probdistr": {"macro-f1": "avg_dist", "micro-f1": "avg_dist", "acc": "avg_dist"},
    "regression": {"acc": "avg_dist"},
    "seq2seq": {"acc": "accuracy"},
}
# Replacements that measure something else.
OTHER_METRICS = {
    "multi_f1_micro": ("span_f1", "multi_span_f1"),
    "avg_dist": ("macro-f1", "micro-f1", "acc"),
}
