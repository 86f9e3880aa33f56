"""A converted model predicts what MaChAmp's arithmetic gives: modules have MaChAmp's names, forward is written anew."""

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from predicted_words import predict_words
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer

from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "convert_machamp_model.py"
PLACEHOLDER = "@@unkORpad@@"
SENTENCES = [["The", "dogs", "don't", "sleep", "."], ["Who", "ran", "?"], ["Run"], ["books", "#", "Anna"] * 4]
LABELS = {
    "upos": ["NOUN", "VERB", "PUNCT", "DET"],
    "lemma": ["↓0;d¦", "↓0;d¦-", "↑0¦↓1;d¦", "↓0;abe", "↓0;d-¦→+n"],
    "feats": ["Number=Sing", "Number=Plur", "_"],
    # MaChAmp compares the first letter with B, I and O.
    "ner": ["B-per", "O", "I-per", "I-loc", "B-loc", "misc", "Other"],
    "tree": ["root", "nsubj", "obj"],
    "mood": ["statement", "question"],
    "same": ["yes", "no", "perhaps"],
    "topics": ["law", "food", "music"],
}
WORD_TASKS = {
    "upos": {"task_type": "seq", "column_idx": 3, "layers_to_use": [-1, 1]},
    "lemma": {"task_type": "string2string", "column_idx": 2},
    "feats": {"task_type": "multiseq", "column_idx": 5, "threshold": 0.4},
    "ner": {"task_type": "seq_bio", "column_idx": 8},
    "tree": {"task_type": "dependency", "column_idx": 6},
    "mood": {"task_type": "classification", "column_idx": -1},
}
TEXT_TASKS = {
    "same": {"task_type": "classification", "column_idx": 2},
    "topics": {"task_type": "multiclas", "column_idx": 3, "threshold": 0.5},
    "score": {"task_type": "regression", "column_idx": 4},
    "votes": {"task_type": "probdistr", "column_idxs": [5, 6, 7]},
}
# Of all tasks in MaChAmp's configs.
COMMON = {"loss_weight": 1.0, "metric": "accuracy", "topn": 1, "layers_to_use": [-1], "dropout": 0.0}


class Linear(nn.Module):
    """The decoders with one layer."""

    def __init__(self, width: int, labels: int, threshold: float | None = None) -> None:
        super().__init__()
        self.hidden_to_label = nn.Linear(width, labels)
        self.threshold = threshold


class Crf(Linear):
    """The decoder of seq_bio."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__(width, labels)
        self.crf_layer = nn.Module()
        self.crf_layer.transitions = nn.Parameter(torch.randn(labels, labels))
        self.crf_layer._constraint_mask = nn.Parameter(torch.ones(labels + 2, labels + 2), requires_grad=False)
        self.crf_layer.start_transitions = nn.Parameter(torch.randn(labels))
        self.crf_layer.end_transitions = nn.Parameter(torch.randn(labels))


class Parser(nn.Module):
    """The decoder of dependency."""

    def __init__(self, width: int, labels: int, arc: int = 12, tag: int = 6) -> None:
        super().__init__()
        self.head_arc_feedforward, self.child_arc_feedforward = nn.Linear(width, arc), nn.Linear(width, arc)
        self.head_tag_feedforward, self.child_tag_feedforward = nn.Linear(width, tag), nn.Linear(width, tag)
        self.arc_attention = nn.Module()
        self.arc_attention._weight_matrix = nn.Parameter(torch.randn(arc + 1, arc + 1))
        self.arc_attention._bias = nn.Parameter(torch.randn(1))
        self.tag_bilinear = nn.Bilinear(tag, tag, labels)
        self._head_sentinel = nn.Parameter(torch.randn(1, 1, width))


class Mix(nn.Module):
    """The weights of several layers."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scalar_parameters = nn.Parameter(torch.randn(layers))
        self.gamma = nn.Parameter(torch.tensor([1.5]))


class MachampModel(nn.Module):
    """What is in a model.pt."""

    def __init__(self, mlm: Any, datasets: Mapping[str, Any]) -> None:
        super().__init__()
        self.mlm = mlm
        self.encoder = SimpleNamespace(max_input_length=64)
        self.dataset_embedder = None
        configs = {
            name: dataset | {"tasks": {task: COMMON | options for task, options in dataset["tasks"].items()}}
            for name, dataset in datasets.items()
        }
        self.dataset_configs = configs
        options = {task: one for dataset in configs.values() for task, one in dataset["tasks"].items()}
        self.tasks, self.task_types = list(options), [one["task_type"] for one in options.values()]
        self.layers = {task: one["layers_to_use"] for task, one in options.items()}
        self.vocabulary = SimpleNamespace(
            inverse_namespaces={task: [PLACEHOLDER, *LABELS.get(task, ())] for task in options} | {"dataset_embeds": []}
        )
        width = mlm.config.hidden_size
        self.scalars = nn.ModuleDict(
            {task: Mix(len(layers)) if len(layers) > 1 else None for task, layers in self.layers.items()}
        )
        self.decoders = nn.ModuleDict({task: self._decoder(task, width, one) for task, one in options.items()})

    def _decoder(self, task: str, width: int, options: Mapping[str, Any]) -> nn.Module:
        labels = len(self.vocabulary.inverse_namespaces[task])
        kinds: dict[str, Any] = {
            "dependency": Parser,
            "seq_bio": Crf,
            "regression": lambda width, _: Linear(width, 1),
            "probdistr": lambda width, _: Linear(width, len(options["column_idxs"])),
            "mlm": lambda *_: nn.Module(),
        }
        make = kinds.get(options["task_type"], lambda *sizes: Linear(*sizes, options.get("threshold")))
        return make(width, labels)


@pytest.fixture(scope="module")
def script() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("convert_machamp_model", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_machamp(folder: str, **datasets: Any) -> MachampModel:
    """A model of MaChAmp with random weights."""
    torch.manual_seed(3)
    is_masked = any(
        one["task_type"] == "mlm" for dataset in datasets.values() for one in dataset["tasks"].values()
    )
    mlm = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(folder)) if is_masked else None
    mlm = AutoModel.from_pretrained(folder) if mlm is None else mlm
    mlm.name_or_path = folder
    model = MachampModel(mlm, datasets).eval()
    for name, parameter in model.named_parameters():
        if name.startswith("decoders") and "crf" not in name:
            # Large enough for labels that differ between words.
            nn.init.normal_(parameter, std=0.5)
    return model


WORDS = {"word_idx": 1, "tasks": WORD_TASKS}
TEXTS = {"sent_idxs": [0, 1], "skip_first_line": True, "tasks": TEXT_TASKS}


def states(machamp: MachampModel, task: str, ids: Sequence[int], types: Sequence[int] | None = None) -> Tensor:
    """The mixed hidden states of a task. *Shape:* -> (subwords, D)."""
    inputs: dict[str, Any] = {"input_ids": torch.tensor([list(ids)]), "output_hidden_states": True}
    if types is not None:
        inputs["token_type_ids"] = torch.tensor([list(types)])
    if machamp.mlm.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.zeros(1, 1, dtype=torch.long)
    output = machamp.mlm(**inputs)
    layers = output.encoder_hidden_states if "encoder_hidden_states" in output else output.hidden_states
    used = machamp.layers[task]
    if len(used) == 1:
        return layers[used[0]][0]
    mix = machamp.scalars[task]
    weights = mix.scalar_parameters.softmax(0) * mix.gamma
    return sum(weight * layers[layer][0] for weight, layer in zip(weights, used, strict=True))


def word_states(machamp: MachampModel, tokenizer: Any, words: Sequence[str], task: str) -> Tensor:
    """The state of the last subword of each word; words are tokenized alone."""
    empty = tokenizer("")["input_ids"]
    before, after = (empty[:-1], empty[-1:])
    ids, ends = list(before), []
    for word in words:
        ids += tokenizer(word)["input_ids"][len(before) : -len(after)]
        ends.append(len(ids) - 1)
    return states(machamp, task, [*ids, *after])[ends]


def logits(machamp: MachampModel, task: str, hidden: Tensor) -> Tensor:
    """The scores of all labels, without those of the placeholder."""
    return machamp.decoders[task].hidden_to_label(hidden)[..., 1:]


def best(machamp: MachampModel, task: str, hidden: Tensor) -> list[str]:
    return [LABELS[task][number] for number in logits(machamp, task, hidden).argmax(-1).tolist()]


def label_sets(machamp: MachampModel, task: str, hidden: Tensor) -> list[set[str]]:
    chosen = logits(machamp, task, hidden).sigmoid() > machamp.decoders[task].threshold
    return [{label for label, is_chosen in zip(LABELS[task], row, strict=True) if is_chosen} for row in chosen]


def best_spans(machamp: MachampModel, hidden: Tensor) -> list[str]:
    """The best path of all, with MaChAmp's penalty of 10000 for the transitions that it does not allow."""
    crf, labels = machamp.decoders["ner"].crf_layer, LABELS["ner"]
    emissions = machamp.decoders["ner"].hidden_to_label(hidden)

    def step(before: str, label: str, score: Tensor) -> float:
        follows = label[0] in "OB" or (label[0] == "I" and before[0] in "BI" and before[1:] == label[1:])
        return score.item() if follows else -10000.0

    def score(path: Sequence[int]) -> float:
        first, last = path[0] + 1, path[-1] + 1
        total = crf.start_transitions[first].item() if labels[path[0]][0] in "OB" else -10000.0
        total += crf.end_transitions[last].item() if labels[path[-1]][0] in "OBI" else -10000.0
        total += sum(emissions[position, label + 1].item() for position, label in enumerate(path))
        steps = zip(path, path[1:], strict=False)
        return total + sum(step(labels[a], labels[b], crf.transitions[a + 1, b + 1]) for a, b in steps)

    return [labels[number] for number in max(product(range(len(labels)), repeat=len(hidden)), key=score)]


def as_set(joined: str) -> set[str]:
    return set() if joined == "_" else set(joined.split("|"))


def apply_rule(word: str, rule: str) -> str:
    """What the rules in ``LABELS`` do."""
    return {
        "↓0;d¦": word.lower(),
        "↓0;d¦-": word.lower()[:-1] or word,
        "↑0¦↓1;d¦": word[:1].upper() + word[1:].lower(),
        "↓0;abe": "be",
        "↓0;d-¦→+n": (word.lower()[1:] or word) + "n",
    }[rule]


def converted(script: Any, machamp: MachampModel, folder: Path) -> Model:
    tokenizer = AutoTokenizer.from_pretrained(machamp.mlm.name_or_path)
    assert script.convert(machamp, tokenizer, folder / "converted") == []
    assert not (folder / "converted.part").exists()
    return load_model(folder / "converted")


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "distilbert", "t5"])
def test_word_level_tasks_predict_the_same(
    script: Any, encoders: dict[str, str], kind: str, tmp_path: Path
) -> None:
    machamp = make_machamp(encoders[kind], UD=WORDS)
    model = converted(script, machamp, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(encoders[kind])
    predicted = predict_words(model, SENTENCES)
    seen: dict[str, set[str]] = {task: set() for task in WORD_TASKS}
    with torch.inference_mode():
        for words, labels in zip(SENTENCES, predicted, strict=True):
            hidden = word_states(machamp, tokenizer, words, "upos")
            assert labels["upos"] == best(machamp, "upos", hidden)
            last = word_states(machamp, tokenizer, words, "lemma")
            rules = best(machamp, "lemma", last)
            assert labels["lemma"] == [apply_rule(*pair) for pair in zip(words, rules, strict=True)]
            assert [as_set(one) - {"_"} for one in labels["feats"]] == [
                one - {"_"} for one in label_sets(machamp, "feats", last)
            ]
            if len(words) <= 5:
                assert labels["ner"] == best_spans(machamp, last)
            for task in seen:
                seen[task] |= set(map(str, labels[task]))
    assert min(len(seen[task]) for task in ("upos", "lemma", "feats", "ner", "tree")) > 1, seen


def test_arcs_and_relations_have_the_same_probabilities(
    script: Any, encoder: str, tmp_path: Path
) -> None:
    machamp = make_machamp(encoder, UD=WORDS)
    model = converted(script, machamp, tmp_path)
    tokenizer, parser, decoder = (
        AutoTokenizer.from_pretrained(encoder),
        machamp.decoders["tree"],
        model.decoder("tree"),
    )
    with torch.inference_mode():
        hidden = word_states(machamp, tokenizer, SENTENCES[0], "tree")
        rows = torch.cat([parser._head_sentinel[0], hidden])
        ones = torch.ones(len(rows), 1)
        dependents = torch.cat([parser.head_arc_feedforward(rows), ones], -1)
        heads = torch.cat([parser.child_arc_feedforward(rows), ones], -1)
        arcs = dependents @ parser.arc_attention._weight_matrix @ heads.T + parser.arc_attention._bias
        scores: Any = decoder(hidden, torch.tensor([len(hidden)]))
        torch.testing.assert_close(scores.arcs[0].log_softmax(-1), arcs.log_softmax(-1)[1:])
        chosen = torch.tensor([2, 0, 5, 1, 3])
        tags = parser.head_tag_feedforward(rows)[chosen], parser.child_tag_feedforward(rows)[1:]
        expected = parser.tag_bilinear(*tags)
        torch.testing.assert_close(decoder._relation_scores(scores, chosen), expected[:, 1:])  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_text_level_tasks_predict_the_same(
    script: Any, encoders: dict[str, str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machamp = make_machamp(encoders[kind], TEXTS=TEXTS)
    model = converted(script, machamp, tmp_path)
    monkeypatch.chdir(tmp_path)
    rows = [("a dog sleeps", "the dog rests"), ("books fell", "a cat ran"), ("he left", "she")]
    Path("in").write_text("text\tother\n" + "".join("\t".join(row) + "\n" for row in rows))
    predict_file(model, "in", "out")
    tokenizer = AutoTokenizer.from_pretrained(encoders[kind])
    for row, line in zip(rows, Path("out").read_text().splitlines()[1:], strict=True):
        cells = line.split("\t")
        one, two = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in row)
        # One separator between texts, with every tokenizer.
        first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
        types = [0] * (len(one) + 2) + [1] * (len(two) + 1) if kind == "wordpiece" else None
        ids = [first, *one, last, *two, last]
        with torch.inference_mode():
            hidden = states(machamp, "same", ids, types)[:1]
            assert cells[2] == best(machamp, "same", hidden)[0]
            assert as_set(cells[3]) == label_sets(machamp, "topics", hidden)[0]
            number = machamp.decoders["score"].hidden_to_label(hidden).item()
            assert float(cells[4]) == pytest.approx(number, rel=1e-4)
            shares = machamp.decoders["votes"].hidden_to_label(hidden)[0].softmax(-1)
            assert list(map(float, cells[5:])) == pytest.approx(shares.tolist(), rel=1e-3)


def test_comments_get_the_same_labels(script: Any, encoder: str, tmp_path: Path) -> None:
    machamp = make_machamp(encoder, UD=WORDS)
    predicted = predict_words(converted(script, machamp, tmp_path), SENTENCES)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    for words, labels in zip(SENTENCES, predicted, strict=True):
        subwords = [number for word in words for number in tokenizer(word)["input_ids"][1:-1]]
        with torch.inference_mode():
            hidden = states(machamp, "mood", [tokenizer.cls_token_id, *subwords, tokenizer.sep_token_id])[:1]
            assert labels["mood"] == best(machamp, "mood", hidden)


def test_a_masked_language_model_keeps_its_head(script: Any, encoder: str, tmp_path: Path) -> None:
    texts = {"tasks": {"text": {"task_type": "mlm", "metric": "perplexity"}}}
    machamp = make_machamp(encoder, UD=WORDS, TEXT=texts)
    model = converted(script, machamp, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    with torch.inference_mode():
        ids = torch.tensor([tokenizer("the dogs ran")["input_ids"]])
        hidden = machamp.mlm.bert(ids).last_hidden_state[0]
        lengths = torch.tensor([len(hidden)])
        torch.testing.assert_close(model.decoder("text")(hidden, lengths).logits, machamp.mlm(ids).logits[0])
        hidden = word_states(machamp, tokenizer, SENTENCES[0], "upos")
        (labels,) = predict_words(model, SENTENCES[:1], dataset="UD")
        assert labels["upos"] == best(machamp, "upos", hidden)


def test_what_cannot_be_converted_is_left_out_by_name(
    script: Any, encoders: dict[str, str], tmp_path: Path
) -> None:
    raw = {"words": {"task_type": "tok", "pre_split": True, "column_idx": -1}}
    machamp = make_machamp(encoders["t5"], UD=WORDS | {"tasks": WORD_TASKS | raw}, PAIRS=TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(encoders["t5"])
    notes = script.convert(machamp, tokenizer, tmp_path / "converted")
    assert [note.partition(" of ")[0] for note in notes] == [
        "task 'words' (tok)",
        *(f"task '{task}' ({options['task_type']})" for task, options in TEXT_TASKS.items()),
    ]
    reason = "the tokenizer has no separator, and MaChAmp then drops the last subword of the text"
    assert all(note.endswith(f" of PAIRS: {reason}") for note in notes[1:])
    assert load_model(tmp_path / "converted").tasks == list(WORD_TASKS)


def test_the_command_writes_a_folder_without_pickles_and_overwrites_nothing(
    script: Any,
    encoder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.save(make_machamp(encoder, UD=WORDS), tmp_path / "model.pt")

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["convert_machamp_model.py", *arguments])
        try:
            script.main()
        except SystemExit as stopped:
            return str(stopped.code)
        return capsys.readouterr().out

    command = (str(tmp_path / "model.pt"), str(tmp_path / "converted"))
    assert run(*command) == f"written: {tmp_path / 'converted'}\n"
    files = {str(path.relative_to(tmp_path / "converted")) for path in (tmp_path / "converted").rglob("*")}
    assert {"config.json", "labels.json", "model.safetensors", "encoder/config.json"} <= files
    assert not [name for name in files if name.endswith((".pt", ".bin", ".pkl"))]
    assert json.loads((tmp_path / "converted" / "config.json").read_text())["datasets"]["UD"]["word_idx"] == 1
    assert run(*command).endswith(": exists already, expected a new folder")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "old.pt")
    assert "expected a model of MaChAmp 0.4" in run(str(tmp_path / "old.pt"), str(tmp_path / "new"))
    assert "cannot be loaded" in run(str(tmp_path / "gone.pt"), str(tmp_path / "new"))
    (tmp_path / "text.pt").write_text("garbage\n")
    assert "cannot be loaded" in run(str(tmp_path / "text.pt"), str(tmp_path / "new"))
    (tmp_path / "half.part").mkdir()
    assert run(command[0], str(tmp_path / "half")) == f"{tmp_path / 'half.part'}: exists already, expected a new folder"
    assert "give its name or folder by --tokenizer" in run(command[0], str(tmp_path / "new"), "--tokenizer", "no/such")
    assert not (tmp_path / "new").exists()


def test_the_script_needs_no_module_of_this_package() -> None:
    assert "machamp_lite" not in {
        line.split()[1].split(".")[0]
        for line in SCRIPT.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
