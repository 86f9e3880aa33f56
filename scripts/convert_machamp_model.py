"""Converts a model.pt of MaChAmp 0.4 into a model folder of machamp_lite. It runs where MaChAmp runs.

    cd MACHAMP
    python /path/to/machamp_lite/scripts/convert_machamp_model.py logs/NAME/DATE/model.pt CONVERTED

A model.pt is a pickle: loading it runs whatever code is in it, and requires MaChAmp's own modules. Therefore this
script belongs to MaChAmp's environment and imports nothing of machamp_lite; convert only files that you trust. The
folder that it writes has only JSON and safetensors.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

# The format of machamp_lite/model/saved_config.py.
FORMAT = 2
# MaChAmp's first label, which it never predicts.
PLACEHOLDER = "@@"
# The keys of a task that mean the same in both programs. Options of training and metrics are not kept.
TASK_KEYS = (
    "task_type", "column_idx", "column_idxs", "threshold", "topn", "arc_representation_dim", "tag_representation_dim",
)  # fmt: skip
SENTENCE_TYPES = ("classification", "multiclas", "probdistr", "regression")
LEFT_OUT = {
    "tok": "it depends on how MaChAmp splits raw text before its tokenizer",
    "seq2seq": "MaChAmp 0.4 has no such decoder",
}
# What MaChAmp adds for a transition that its labels do not allow.
FORBIDDEN = -10000.0
# Keys that refer to code or to files outside the model folder, which machamp_lite refuses.
UNSAFE_KEYS = re.compile(
    r"auto_map|custom_\w+|\w*attn_implementation\w*|quantization_config|\w+_file"
)

State = dict


def main() -> None:
    """Converts one model, and prints what is left out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", help="model.pt of a run of MaChAmp 0.4")
    parser.add_argument("folder", metavar="CONVERTED", help="the new model folder")
    parser.add_argument(
        "--tokenizer", metavar="NAME", help="folder or name of the tokenizer (default: that of the model)"
    )
    flags = parser.parse_args()
    folder = Path(flags.folder)
    for path in (folder, partial(folder)):
        if os.path.lexists(path):
            sys.exit(f"{path}: exists already, expected a new folder")
    model = load_machamp_model(flags.model)
    name = flags.tokenizer or model.mlm.name_or_path
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        sys.exit(
            f"{name}: holds no tokenizer that can be loaded ({reason}); give its name or folder by --tokenizer"
        )
    for note in convert(model, tokenizer, folder):
        print(f"left out: {note}")
    print(f"written: {folder}")


def partial(folder: Path) -> Path:
    """The folder while it is written; it stays if the conversion is interrupted."""
    return folder.with_name(folder.name + ".part")


def load_machamp_model(path: str) -> Any:
    """Unpickles a model, with MaChAmp's modules in the current folder."""
    sys.path.insert(0, os.getcwd())
    try:
        try:
            model = torch.load(path, map_location="cpu", weights_only=False)
        except TypeError:
            # Older versions of torch have no such argument.
            model = torch.load(path, map_location="cpu")
    except ModuleNotFoundError as error:
        sys.exit(f"{path}: cannot be loaded ({error}); run this in the folder of MaChAmp, in its environment")
    except (OSError, RuntimeError, EOFError, ValueError, AttributeError, pickle.UnpicklingError) as error:
        sys.exit(f"{path}: cannot be loaded ({str(error).split(chr(10))[0]})")
    wanted = ("mlm", "decoders", "vocabulary", "dataset_configs", "tasks", "task_types")
    if not all(hasattr(model, name) for name in wanted):
        found = type(model).__name__
        sys.exit(f"{path}: found {found}, expected a model of MaChAmp 0.4; older ones must be trained again")
    return model.eval()


def convert(model: Any, tokenizer: Any, folder: Path) -> list[str]:
    """Writes the model folder, and returns what was left out with the reasons."""
    if getattr(model, "dataset_embedder", None) is not None:
        sys.exit(
            "dataset_embed_idx: MaChAmp adds its vectors to the subwords, machamp_lite to what decoders read; "
            "expected a model without them"
        )
    if model.mlm.config.is_encoder_decoder and not hasattr(model, "layers"):
        sys.exit("the encoder: this version of MaChAmp reads its decoder; expected a model of MaChAmp 0.4.1 or newer")
    datasets, notes = convert_datasets(model, tokenizer)
    if not datasets:
        sys.exit("\n".join([*notes, "no task is left"]))
    tasks = list(dict.fromkeys(task for dataset in datasets.values() for task in dataset["tasks"]))
    config = {
        "format": FORMAT,
        "params": {
            "transformer_model": os.path.basename(str(model.mlm.name_or_path).rstrip("/")) or "encoder",
            "encoder": {"max_input_length": model.encoder.max_input_length},
            # MaChAmp computes in 32 bits.
            "training": {"precision": "fp32"},
        },
        "datasets": datasets,
    }
    part = partial(folder)
    (part / "encoder").mkdir(parents=True)
    model.mlm.config.save_pretrained(part / "encoder")
    tokenizer.save_pretrained(part / "encoder")
    for path in (part / "encoder").glob("*config.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        document = {key: value for key, value in document.items() if not UNSAFE_KEYS.fullmatch(key)}
        if path.name == "tokenizer_config.json":
            # MaChAmp tokenizes each word alone, without a space before it, and puts one separator between texts.
            document["word_boundary"] = "as_is"
            document["text_separator"] = "single"
        write_json(path, document)
    write_json(part / "config.json", config)
    write_json(part / "labels.json", {task: labels_of(model, task) for task in tasks})
    write_safetensors(part / "model.safetensors", convert_weights(model, tasks))
    part.rename(folder)
    return notes


def convert_datasets(model: Any, tokenizer: Any) -> tuple[dict[str, Any], list[str]]:
    """The datasets with the tasks that can be converted, and what is left out."""
    types = {task: model.task_types[number] for number, task in enumerate(model.tasks)}
    datasets, notes = {}, []
    for name, dataset in model.dataset_configs.items():
        tasks = {}
        for task, options in dataset["tasks"].items():
            reason = why_left_out(model, tokenizer, dataset, types[task])
            if reason:
                notes.append(f"task '{task}' ({types[task]}) of {name}: {reason}")
            else:
                tasks[task] = convert_task(model, task, options)
        if tasks:
            keys = ("word_idx", "sent_idxs", *(["skip_first_line"] if "sent_idxs" in dataset else []))
            datasets[name] = {key: dataset[key] for key in keys if dataset.get(key) is not None}
            datasets[name]["tasks"] = tasks
    return datasets, notes


def why_left_out(model: Any, tokenizer: Any, dataset: dict[str, Any], task_type: str) -> str | None:
    """Why a task cannot be converted; None if it can."""
    if task_type not in DECODERS:
        return LEFT_OUT.get(task_type, "there is no such task type")
    if task_type not in SENTENCE_TYPES:
        return None
    if re.search("CausalLM|LMHeadModel", " ".join(getattr(model.mlm.config, "architectures", None) or [])):
        return "the encoder reads from left to right, and MaChAmp reads sentences at their first position"
    texts = len(dataset.get("sent_idxs") or [])
    has_end = bool(tokenizer("")["input_ids"])
    if texts and has_end and tokenizer.sep_token_id is None:
        return "the tokenizer has no separator, and MaChAmp then drops the last subword of the text"
    if texts and not has_end and (texts > 1 or tokenizer.sep_token_id is not None):
        return "the tokenizer adds nothing after a text, and MaChAmp puts separators otherwise"
    if texts > 2 and 1 in tokenizer("a", "a").get("token_type_ids", ()):
        return "MaChAmp numbers the segments of more than two texts differently"
    return None


def convert_task(model: Any, task: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a task that prediction depends on."""
    kept = {key: options[key] for key in TASK_KEYS if options.get(key) is not None}
    task_type = kept["task_type"]
    kept["layers_to_use"] = list(getattr(model, "layers", {}).get(task, [-1]))
    if task_type == "mlm":
        kept.pop("column_idx", None)
    else:
        kept["pooling"] = "first" if task_type in SENTENCE_TYPES else "last"
    if task_type in ("multiseq", "multiclas"):
        kept["threshold"] = model.decoders[task].threshold
    if task_type == "dependency":
        decoder = model.decoders[task]
        # MaChAmp creates the activation, but never applies it.
        kept["activation"] = "linear"
        kept["arc_representation_dim"] = decoder.head_arc_feedforward.out_features
        kept["tag_representation_dim"] = decoder.head_tag_feedforward.out_features
    if task_type == "seq_bio":
        kept["scheme"] = "BIO"
    return kept


def all_labels(model: Any, task: str) -> list[str]:
    """The labels of a task by id, with the placeholder at 0; empty for numbers."""
    return list(model.vocabulary.inverse_namespaces.get(task, []))


def kept_ids(labels: list[str]) -> list[int]:
    """The ids of all labels but the placeholder."""
    return [number for number, label in enumerate(labels) if number or not label.startswith(PLACEHOLDER)]


def labels_of(model: Any, task: str) -> dict[str, Any]:
    """An entry of labels.json. MaChAmp does not count labels."""
    has_labels = model.task_types[model.tasks.index(task)] not in ("mlm", "probdistr", "regression")
    labels = all_labels(model, task) if has_labels else []
    names = [labels[number] for number in kept_ids(labels)]
    return {"labels": names, "counts": [0] * len(names), "items": 0, "weights": None}


def convert_weights(model: Any, tasks: list[str]) -> dict[str, Tensor]:
    """All tensors by the names that machamp_lite gives them."""
    state = model.state_dict()
    masked = next((task for task in tasks if model.task_types[model.tasks.index(task)] == "mlm"), None)
    tensors = dict(encoder_weights(model, state, None if masked is None else tasks.index(masked)))
    for number, task in enumerate(tasks):
        prefix = f"decoders.{task}."
        own = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        for name, value in DECODERS[model.task_types[model.tasks.index(task)]](own, all_labels(model, task)).items():
            tensors[f"decoders.{number}.{name}"] = value
        if f"scalars.{task}.gamma" in state:
            tensors[f"mixes.{number}.weights"] = state[f"scalars.{task}.scalar_parameters"]
            tensors[f"mixes.{number}.scale"] = state[f"scalars.{task}.gamma"].reshape(())
    return tensors


def encoder_weights(model: Any, state: State, head: int | None) -> Iterator[tuple[str, Tensor]]:
    """The weights of the transformer, and those of its head for masked language modelling if a task has the number."""
    inner = model.mlm.base_model_prefix + "." if "mlm" in model.task_types else ""
    if model.mlm.config.is_encoder_decoder:
        inner += "encoder."
    for name, value in state.items():
        if not name.startswith("mlm."):
            continue
        name = name[len("mlm.") :]
        if name.startswith(inner):
            name = name[len(inner) :]
            # No task uses the pooler, and newer versions of transformers do not save positions.
            if not re.match(r"pooler\.", name) and not re.search(r"(position|token_type)_ids$", name):
                yield f"encoder.transformer.{name}", value
        elif head is not None:
            yield f"decoders.{head}.head.model.{name}", value


def convert_linear(state: State, labels: list[str]) -> State:
    """A linear layer with one row per label."""
    kept = kept_ids(labels) if labels else slice(None)
    return {f"scores.{name}": state[f"hidden_to_label.{name}"][kept] for name in ("weight", "bias")}


def convert_regression(state: State, labels: list[str]) -> State:
    """A linear layer to a number; machamp_lite also scales it."""
    tensors = {f"score.{name}": state[f"hidden_to_label.{name}"] for name in ("weight", "bias")}
    return {**tensors, "mean": torch.tensor(0.0), "std": torch.tensor(1.0)}


def convert_probdistr(state: State, labels: list[str]) -> State:
    """A linear layer with one row per column."""
    return convert_linear(state, [])


def convert_seq_bio(state: State, labels: list[str]) -> State:
    """The same with a CRF. MaChAmp penalizes transitions by the first letter of labels instead of forbidding them."""
    kept = kept_ids(labels)
    names = [labels[number] for number in kept]
    transitions = state["crf_layer.transitions"][kept][:, kept].clone()
    starts = state["crf_layer.start_transitions"][kept].clone()
    ends = state["crf_layer.end_transitions"][kept].clone()
    for column, label in enumerate(names):
        for row, before in enumerate(names):
            continues = before[:1] in ("B", "I") and before[1:] == label[1:]
            if not (label[:1] in ("O", "B") or (label[:1] == "I" and continues)):
                transitions[row, column] = FORBIDDEN
        if label[:1] not in ("O", "B"):
            starts[column] = FORBIDDEN
        if label[:1] not in ("O", "B", "I"):
            ends[column] = FORBIDDEN
    crf = {"crf.transitions": torch.cat([transitions, starts.unsqueeze(0)]), "crf.ends": ends}
    return {**convert_linear(state, labels), **crf}


def convert_dependency(state: State, labels: list[str]) -> State:
    """The biaffine parser. In its scores of arcs, what MaChAmp calls the head is the dependent."""
    kept = kept_ids(labels)
    projections = ("head_arc", "child_arc", "child_tag", "head_tag")
    tensors = {
        f"project.{name}": torch.cat([state[f"{part}_feedforward.{name}"] for part in projections])
        for name in ("weight", "bias")
    }
    # The last row is a bias per head. The last column and the bias of all arcs change no softmax over heads.
    arcs = state["arc_attention._weight_matrix"]
    relations = state["tag_bilinear.weight"][kept]
    return {
        **tensors,
        "root": state["_head_sentinel"].flatten(),
        "arcs.bilinear": arcs[:-1, :-1],
        "arcs.head_bias": arcs[-1, :-1],
        "relations.bilinear": relations.transpose(1, 2),
        "relations.linear.weight": relations.new_zeros(len(kept), 2 * relations.shape[1]),
        "relations.linear.bias": state["tag_bilinear.bias"][kept],
    }


DECODERS: dict[str, Callable[[State, list[str]], State]] = {
    "classification": convert_linear,
    "dependency": convert_dependency,
    "mlm": lambda state, labels: {},
    "multiclas": convert_linear,
    "multiseq": convert_linear,
    "probdistr": convert_probdistr,
    "regression": convert_regression,
    "seq": convert_linear,
    "seq_bio": convert_seq_bio,
    "string2string": convert_linear,
}


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Writes JSON as UTF-8."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_safetensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes tensors in float32; MaChAmp's environment need not have the package safetensors.

    The format is the length of the header, a JSON header with types, shapes and positions, and the bytes of all tensors
    (https://huggingface.co/docs/safetensors).
    """
    header, end = {}, 0
    for name, value in tensors.items():
        start, end = end, end + 4 * value.numel()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [start, end]}
    encoded = json.dumps(header).encode("utf-8")
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for value in tensors.values():
            file.write(value.detach().to("cpu", torch.float32).contiguous().numpy().astype("<f4").tobytes())


if __name__ == "__main__":
    main()
