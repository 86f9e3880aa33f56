"""The configs in MaChAmp's public history as facts: which keys and values they have, with names and data made anew.

Configs of equal keys and values are listed once, under the first version that has them. Their number is that of the
distinct files. Datasets of one config with equal keys and values are listed once, too.

https://github.com/machamp-nlp/machamp, commits of 2020-05-27 to 2026-06-03.
"""

import json
from pathlib import Path
from typing import Any

# (version, files, datasets). A dataset is its keys, a colon, and its tasks: type, column_idx and further keys. Every
# dataset has a training file; "dev" and "validation" stand for dev_data_path and validation_data_path.
DATASET_CONFIGS = [
    ("0.1", 1, "validation word_idx=0: string2string 1, seq 2, seq 3, seq 5, string2string 4"),
    ("0.1", 1, "sent_idxs=[0,1] validation: classification 2 | validation word_idx=1: seq 3"),
    ("0.1", 1, "copy_other_columns=true validation word_idx=1: dependency 6, seq 5, string2string 2, seq 3, "
               "seq 4"),
    # From the documentation.
    ("0.1", 0, "validation word_idx=1: seq 3 adaptive=true, dependency 6 adaptive=true"),
    ("0.1", 1, "sent_idxs=[0] validation: classification 1 | sent_idxs=[0,1] validation: classification 2"),
    ("0.2", 2, "validation word_idx=1: seq 3"),
    ("0.2", 1, "max_sents=10000 validation: mlm"),
    ("0.2", 3, "validation word_idx=0: seq_bio 1"),
    ("0.2", 3, "sent_idxs=[0] validation: seq2seq 1"),
    ("0.2", 2, "max_sents=1000 validation: unsupervised"),
    ("0.2", 1, "test_data_path validation word_idx=0: seq 1"),
    ("0.2", 1, "sent_idxs=[0,1] validation: classification 2"),
    ("0.2", 2, "validation word_idx=0: multiseq column_idxs=1"),
    ("0.2", 2, "validation word_idx=1: classification -1, seq 3"),
    ("0.2", 1, "validation word_idx=1: dependency 6, seq 5, string2string 2, seq 3, seq 4"),
    ("0.2", 1, "validation word_idx=0: seq 5, seq 2, string2string 4, seq 3, string2string 1"),
    ("0.2", 1, "sent_idxs=[0] validation: classification 1 | sent_idxs=[0,1] validation: classification 2 | "
               "sent_idxs=[0,1] validation: classification 2"),
    ("0.2", 2, "validation word_idx=1: dependency 6, seq 5, string2string 2, seq 3 | "
               "word_idx=1: dependency 6, seq 5, seq 3"),
    ("0.2", 1, "dataset_embed_idx=-1 validation word_idx=1: dependency 6, seq 5, string2string 2, seq 3 | "
               "dataset_embed_idx=-1 word_idx=1: dependency 6, seq 5, seq 3"),
    ("0.3", 1, "validation word_idx=1: multiseq 5"),
    ("0.3", 1, "sent_idxs=[1] validation: probdistr column_idxs=[5,6]"),
    ("0.3", 1, "sent_idxs=[1,2] skip_first_line=true validation: classification 3"),
    ("0.3", 1, "validation word_idx=1: dependency 6, seq 5, string2string 2, seq 3"),
    ("0.3", 1, "enc_dataset_embed_idx=-1 max_sents=1000 sent_idxs=[0,1] validation: classification 2"),
    ("0.3", 1, "validation word_idx=0: seq_bio 1 | sent_idxs=[0,1] validation: classification 2 | "
               "validation word_idx=0: seq 1 | sent_idxs=[0,1] validation: classification 2"),
    ("0.3", 1, "sent_idxs=[3] validation: classification 1 | sent_idxs=[8,9] skip_first_line=true validation: "
               "classification 11 | sent_idxs=[3,4] skip_first_line=true validation: classification 0 | "
               "sent_idxs=[7,9] skip_first_line=true validation: regression 9"),
    ("0.4", 3, "dev word_idx=1: seq 3"),
    ("0.4", 1, "dev word_idx=1: tok -1"),
    ("0.4", 1, "dev max_sents=5000: mlm"),
    ("0.4", 1, "dev max_sents=1000: mlm"),
    ("0.4", 1, "dev max_sents=10000: mlm"),
    ("0.4", 1, "dev sent_idxs=[3]: classification 1"),
    ("0.4", 2, "dev word_idx=1: classification -1, seq 3"),
    ("0.4", 1, "dev word_idx=1: seq 3 layers_to_use=[-1]"),
    ("0.4", 1, 'dev word_idx=0: seq_bio 1 metric="span_f1"'),
    ("0.4", 1, "dev sent_idxs=[7,9] skip_first_line=true: regression 9"),
    ("0.4", 2, "dev sent_idxs=[1,2] skip_first_line=true: classification 3"),
    ("0.4", 3, "dev word_idx=1: dependency 6, seq 5, string2string 2, seq 3"),
    ("0.4", 1, "dev word_idx=1: seq 3 layers_to_use=[0,1,2,3,4,5,6,7,8,9,10,11]"),
    ("0.4", 2, "dev word_idx=1: dependency 6, seq 5, string2string 2, tok -1, seq 3"),
    ("0.4", 1, "dev sent_idxs=[1] skip_first_line=true: probdistr column_idxs=[2,3,4,5,6,7,8,9,10,11,12,13]"),
    ("0.4", 2, 'dev word_idx=1: dependency 6 additional_metrics=["uas"], seq 5, string2string 2, '
               'seq 3 additional_metrics=["f1_macro"]'),
    ("0.4", 2, 'dev max_sents=100 word_idx=1: dependency 6 additional_metrics=["uas"], multiseq 5, string2string 2, '
               'seq 3 additional_metrics=["f1_macro"]'),
    ("0.4", 3, "dev sent_idxs=[3]: classification 1 | dev sent_idxs=[8,9] skip_first_line=true: classification 11 | "
               "dev sent_idxs=[3,4] skip_first_line=true: classification 0 | "
               "dev sent_idxs=[7,9] skip_first_line=true: regression 9"),
]  # fmt: skip
# One more file of 0.2 lacks a comma, and MaChAmp cannot read it either.
BROKEN_FILES = {"0.2": 1}

# What the current params share with those of 0.4.
_BERT = "bert-base-multilingual-cased"
_SCHEDULER = {"discriminative_fine_tuning": True, "gradual_unfreezing": True}
_OPTIMIZER = {"betas": [0.9, 0.99], "lr": 0.0001, "weight_decay": 0.01}


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Nested objects from keys with dots."""
    result: dict[str, Any] = {}
    for key, value in flat.items():
        *above, last = key.split(".")
        holder = result
        for name in above:
            holder = holder.setdefault(name, {})
        holder[last] = value
    return result


V1: dict[str, Any] = {
    "dataset_reader.type": "machamp_universal_reader",
    "dataset_reader.lazy": False,
    "dataset_reader.token_indexers": {"bert": {"do_lowercase": False, "use_starting_offsets": True}},
    "model.type": "machamp_model",
    "model.word_dropout": 0.1,
    "model.layer_dropout": 0.1,
    "model.weight_embeddings": True,
    "model.mix_embedding": True,
    "model.text_field_embedder.type": "machamp_embedder",
    "model.text_field_embedder.dropout": 0.5,
    "model.text_field_embedder.allow_unmatched_keys": True,
    "model.text_field_embedder.embedder_to_indexer_map": {"bert": ["bert", "bert-offsets"]},
    "model.text_field_embedder.token_embedders.bert": {
        "type": "machamp-bert-pretrained", "pretrained_model": _BERT, "requires_grad": True, "dropout": 0.1,
        "layer_dropout": 0.1, "combine_layers": "all",
    },
    "model.encoder": {"type": "pass_through", "input_dim": 768},
    "model.default_decoder": {
        "label_smoothing": 0.03, "dropout": 0.3, "order": 0, "layer": 12, "loss_weight": 1, "prev_task_embed_dim": 0,
        "encoder": {"type": "pass_through", "input_dim": 768}, "adaptive": True, "metric": "acc",
    },
    "model.default_dataset": {"copy_other_columns": False, "order": 1},
    "iterator": {
        "type": "data-type-bucket", "sorting_keys": [["tokens", "num_tokens"]], "biggest_batch_first": True,
        "batch_size": 32, "maximum_samples_per_batch": ["num_tokens", 3200],
    },
    "trainer": {
        "validation_metric": "+.run/.sum", "should_log_parameter_statistics": False, "grad_norm": 5,
        "grad_clipping": 10, "cuda_device": -1, "num_epochs": 80, "patience": 5, "num_serialized_models_to_keep": 1,
        "should_log_learning_rate": True, "summary_interval": 100,
        "optimizer": {"type": "bert_adam", "b1": 0.9, "b2": 0.99, "weight_decay": 0.01, "lr": 0.001,
                      "parameter_groups": [[["^decoders"], {}]]},
        "learning_rate_scheduler": {"type": "ulmfit_sqrt", "model_size": 1, "warmup_steps": 115, "start_step": 115,
                                    "factor": 5, "decay_factor": 0.04, **_SCHEDULER},
    },
}  # fmt: skip


def _allennlp(model: str, width: int, length: int) -> dict[str, Any]:
    """What params of 0.2 and 0.3 have in common, for an encoder with its width."""
    return {
        "random_seed": 8446,
        "numpy_seed": 8446,
        "pytorch_seed": 8446,
        "datasets_for_vocab_creation": ["train", "validation"],
        "dataset_reader.type": "machamp_universal_reader",
        "dataset_reader.source_max_tokens": length,
        "dataset_reader.target_max_tokens": length,
        "dataset_reader.token_indexers.tokens": {
            "type": "pretrained_transformer_mixmatched", "max_length": length, "model_name": model,
        },
        "dataset_reader.tokenizer": {
            "type": "pretrained_transformer", "add_special_tokens": False, "model_name": model,
        },
        "dataset_reader.target_token_indexers": {"tokens": {"namespace": "target_words"}},
        "dataset_reader.target_tokenizer": {"type": "bert_basic_tokenizer"},
        "vocabulary": {"max_vocab_size": {"target_words": 50000}, "min_count": {}},
        "model.type": "machamp_model",
        "model.default_max_sents": 0,
        "model.encoder": {"type": "cls_pooler", "cls_is_last_token": False, "embedding_dim": width},
        "model.decoders.default": {"input_dim": width, "loss_weight": 1, "order": 1},
        "model.decoders.classification": {"type": "machamp_sentence_decoder"},
        "model.decoders.dependency": {
            "type": "machamp_dependency_decoder", "arc_representation_dim": width, "tag_representation_dim": 256,
            "use_mst_decoding_for_validation": True,
        },
        "model.decoders.mlm": {"type": "machamp_mlm_decoder", "pretrained_model": model},
        "model.decoders.multiseq": {"type": "machamp_multiseq_decoder"},
        "model.decoders.seq": {"type": "machamp_tag_decoder"},
        "model.decoders.seq2seq": {
            "type": "machamp_seq2seq_decoder", "attention": "dot_product", "beam_size": 6, "max_decoding_steps": 128,
            "target_decoder_layers": 2, "target_embedding_dim": 512,
        },
        "model.decoders.seq_bio": {"type": "machamp_crf_decoder", "metric": "span_f1"},
        "model.decoders.string2string": {"type": "machamp_tag_decoder"},
        "model.text_field_embedder.type": "basic",
        "model.text_field_embedder.token_embedders.tokens": {
            "type": "machamp_pretrained_transformer_mismatched", "max_length": length, "model_name": model,
            "train_parameters": True, "layers_to_use": [-1],
        },
        "data_loader.batch_sampler": {
            "type": "dataset_buckets", "max_tokens": 1024, "batch_size": 32, "sampling_smoothing": 1,
            "sorting_keys": ["tokens"],
        },
        "trainer.grad_norm": 1,
        "trainer.num_epochs": 20,
        "trainer.use_amp": False,
        "trainer.validation_metric": "+.run/.sum",
        "trainer.optimizer": {
            "type": "huggingface_adamw", "correct_bias": False, "parameter_groups": [[["^decoders.*"], {}]],
            **_OPTIMIZER,
        },
        "trainer.learning_rate_scheduler": {"type": "slanted_triangular", "decay_factor": 0.38, **_SCHEDULER},
    }  # fmt: skip


def _v2(model: str = _BERT, width: int = 768) -> dict[str, Any]:
    return _allennlp(model, width, 128) | {
        "dataset_reader.do_lowercase": False,
        "model.dropout": 0.3,
        "model.dataset_embeds_dim": 0,
        "model.decoders.multiseq.metric": "multi_span_f1",
        "model.decoders.seq2seq.use_bleu": True,
        "trainer.checkpointer.num_serialized_models_to_keep": 1,
        "trainer.learning_rate_scheduler.cut_frac": 0.2,
    }


def _v3(model: str = _BERT, width: int = 768, length: int = 512) -> dict[str, Any]:
    return _allennlp(model, width, length) | {
        "model.dropout": 0.2,
        "model.dec_dataset_embeds_dim": 12,
        "model.decoders.probdistr": {"type": "machamp_probdistr_decoder", "metric": "macro-f1"},
        "model.decoders.regression": {"type": "machamp_regression_decoder", "metric": "pearson"},
        "trainer.run_confidence_checks": False,
        "trainer.checkpointer.keep_most_recent_by_count": 1,
        "trainer.learning_rate_scheduler.cut_frac": 0.3,
    }


V4: dict[str, Any] = {
    "transformer_model": _BERT,
    "reset_transformer_model": False,
    "random_seed": 8446,
    "default_dec_dataset_embeds_dim": 12,
    "encoder": {"dropout": 0.2, "max_input_length": 128, "update_weights_encoder": True},
    "decoders.default_decoder": {"loss_weight": 1, "metric": "accuracy", "topn": 1, "layers_to_use": [-1]},
    "decoders.classification": {},
    "decoders.dependency": {"arc_representation_dim": 768, "tag_representation_dim": 256, "metric": "las"},
    "decoders.mlm": {"metric": "perplexity"},
    "decoders.multiclas": {"metric": "multi_acc", "threshold": 0.7},
    "decoders.multiseq": {"metric": "multi_acc", "threshold": 0.7},
    "decoders.regression": {"metric": "avg_dist"},
    "decoders.seq": {},
    "decoders.seq_bio": {"metric": "span_f1"},
    "decoders.string2string": {},
    "decoders.tok": {"pre_split": True},
    "batching": {
        "max_tokens": 1024, "shuffle": True, "batch_size": 32, "sort_by_size": True, "diverse": False,
        "sampling_smoothing": 1,
    },
    "training.keep_top_n": 1,
    "training.num_epochs": 20,
    "training.optimizer": _OPTIMIZER,
    "training.learning_rate_scheduler": {"cut_frac": 0.3, "decay_factor": 0.38, **_SCHEDULER},
}  # fmt: skip

_SMOOTH = {"data_loader.batch_sampler.sampling_smoothing": 0.5}
_IDS = {"model.dataset_embeds_dim": 32}
_LARGE = ("bert-large-cased", 1024)
_TOKENS = "model.text_field_embedder.token_embedders.tokens"
_LAST, _FIVE = {f"{_TOKENS}.last_layer_only": True}, {f"{_TOKENS}.layers_to_use": [1, 2, 3, 4, 5]}
# The first params of 0.2 have other seeds, and a decoder for the task type "unsupervised".
_FIRST = {
    **_LAST, "random_seed": 13370, "numpy_seed": 1337, "pytorch_seed": 133, "trainer.use_amp": None,
    "model.decoders.seq2seq.target_embedding_dim": 256, "model.decoders.mlm": None,
    "model.decoders.unsupervised": {"type": "machamp_mlm_decoder", "pretrained_model": _BERT},
}  # fmt: skip
_LR = {"trainer.optimizer.lr": 1e-5}
_EARLY = {
    "batching.diverse": None, "batching.shuffle": None, "reset_transformer_model": None,
    "decoders.default_decoder.layers_to_use": None, "decoders.tok": {}, "encoder.layers_to_use": [-1],
    "encoder.subword_strategy": "last", "training.learning_rate_scheduler.type": "slanted_triangular",
    "training.optimizer.correct_bias": False,
}  # fmt: skip
_NO_THRESHOLD = {"decoders.multiclas.threshold": 0, "decoders.multiseq.threshold": 0}

# (version, files, params, changes of params); a change to None removes the key.
PARAMS: list[tuple[str, int, dict[str, Any], dict[str, Any]]] = [
    ("0.1", 1, V1, {}),
    ("0.1", 1, V1, {"trainer.num_epochs": 200, "iterator.proportional_sampling": True}),
    ("0.2", 1, _v2(), {**_FIRST, **_SMOOTH, **_IDS}),
    ("0.2", 1, _v2(), {**_FIRST, **_SMOOTH}),
    ("0.2", 1, _v2(), {**_LAST, "random_seed": 13370, "numpy_seed": 1337, "pytorch_seed": 133}),
    ("0.2", 1, _v2(), {**_FIRST, "trainer.use_amp": True}),
    *(
        ("0.2", files, base, {**layers, **changes})
        for files, layers in ((2, _LAST), (1, _FIVE), (1, {}))
        for base, changes in [
            (_v2(), {}), (_v2(), _SMOOTH), (_v2(), _IDS), (_v2(*_LARGE), {}), (_v2(*_LARGE), _SMOOTH),
        ]
    ),
    *(
        ("0.3", 1, base, {**lr, **changes})
        for lr in (_LR, {})
        for base, changes in [
            (_v3(), {}), (_v3(), _SMOOTH), (_v3("google/rembert", 1152), {}), (_v3("xlm-roberta-large", 1024), {}),
            (_v3("google/rembert", 1152, 128), _SMOOTH),
        ]
    ),
    ("0.4", 1, V4, {**_EARLY, "training.optimizer.lr": 0.001, "decoders.multiclas": None, "decoders.multiseq": None}),
    ("0.4", 1, V4, {**_EARLY, **_NO_THRESHOLD}),
    ("0.4", 1, V4, {**_EARLY, **_NO_THRESHOLD, "training.optimizer.lr": 0.001}),
    ("0.4", 1, V4, {**_NO_THRESHOLD, "encoder.subword_strategy": "last", "training.optimizer.correct_bias": False}),
    ("0.4", 1, V4, {"training.optimizer.correct_bias": False}),
    ("0.4", 3, V4, {}),
    ("0.4", 1, V4, {"batching.diverse": True, "batching.sampling_smoothing": 0}),
    ("0.4", 1, V4, {"batching.diverse": True}),
    ("0.4", 1, V4, {"batching.sampling_smoothing": 0}),
    ("0.4", 1, V4, {"training.num_epochs": 5}),
    ("0.4", 2, V4, {"training.num_epochs": 100}),
    ("0.4", 1, V4, {"training.num_epochs": 100, "decoders.seq_bio.dropout": 0.5}),
    ("0.4", 1, V4, {"decoders.multiseq.threshold": None, "training.num_epochs": 50}),
    ("0.4", 1, V4, {"training.num_epochs": 1}),
    ("0.4", 1, V4, {"decoders.probdistr": {"metric": "avg_dist"}}),
    ("0.4", 2, V4, {"random_seed": None, "decoders.probdistr": {"metric": "avg_dist"}}),
]  # fmt: skip


def params_of(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Params with some keys changed or removed."""
    params: dict[str, Any] = json.loads(json.dumps(nested(base)))
    for key, value in changes.items():
        *above, last = key.split(".")
        holder = params
        for name in above:
            holder = holder.setdefault(name, {})
        if value is None:
            holder.pop(last, None)
        else:
            holder[last] = value
    return params


def dataset_config(text: str, folder: Path) -> dict[str, Any]:
    """A dataset config with data of its shape, written to a folder."""
    datasets = {}
    for number, part in enumerate(text.split(" | ")):
        keys, _, tasks = part.partition(": ")
        dataset: dict[str, Any] = {"tasks": {}}
        for key in keys.split():
            name, _, value = key.partition("=")
            if value:
                dataset[name] = json.loads(value)
        # Tasks at the same place of datasets with words share a decoder, as in a config for several treebanks.
        for place, task in enumerate(tasks.split(", ")):
            task_type, *rest = task.split()
            options: dict[str, Any] = {"task_type": task_type}
            for option in rest:
                name, _, value = option.rpartition("=")
                options[name or "column_idx"] = json.loads(value)
            dataset["tasks"][f"{task_type}{number}{place}"] = options
        path = folder / f"data{number}"
        path.write_text(_data(dataset), encoding="utf-8")
        for key in ("train", *(name for name in ("dev", "validation", "test_data_path") if name in keys.split())):
            dataset[f"{key.removesuffix('_data_path')}_data_path"] = str(path)
        datasets[f"DATA{number}"] = dataset
    return datasets


CELLS = {
    "seq": "AB", "seq_bio": ["B-x", "O"], "multiseq": ["a|b", "a"], "classification": ["yes", "no"],
    "regression": ["0.5", "2"], "seq2seq": ["they ran", "all dogs"], "string2string": ["run", "dog"],
    "dependency": ["0", "1"],
}  # fmt: skip


def _data(dataset: dict[str, Any]) -> str:
    """A file of some sentences, whose columns are as a dataset and its tasks require."""
    words, sentences = dataset.get("word_idx"), dataset.get("sent_idxs")
    if words is None and sentences is None:
        return "dogs ran home\nthe dog sleeps\n" * 4
    rows = [["_"] * 14 for _ in range(2)]
    for number, row in enumerate(rows):
        row[0] = str(number + 1)
        for column in sentences or [words]:
            row[column] = ["dogs", "ran"][number] if sentences is None else f"dogs ran {number}"
        for task in dataset["tasks"].values():
            columns = task.get("column_idxs", task.get("column_idx"))
            for column in columns if isinstance(columns, list) else [columns]:
                if column is not None and column >= 0 and column not in (sentences or []):
                    cell = str(1 / len(columns)) if isinstance(columns, list) else CELLS[task["task_type"]][number]
                    row[column] = cell
            if task["task_type"] == "dependency":
                row[columns + 1] = ["root", "x"][number]
            if sentences and columns in sentences:
                row[columns] = "0.5"
    lines = "".join("\t".join(row) + "\n" for row in rows)
    if sentences is not None:
        header = "\t".join(f"h{number}" for number in range(14)) + "\n"
        return (header if dataset.get("skip_first_line") else "") + lines * 4
    comments = "# text = dogs ran\n"
    for name, task in dataset["tasks"].items():
        if task["task_type"] == "classification":
            comments += f"# {name} = yes\n"
    return "".join(f"{comments}{lines}\n" for _ in range(4))
