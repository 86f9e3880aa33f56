"""Two processes give the same gradients, the same run and the same errors as one."""

import json
import os
import shutil
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import children
import pytest
import torch
from children import plain_lines
from run_metrics import metrics_of
from safetensors.torch import load_file, save_file

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.dataloading.batch_sampler import split_batch
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.model.serialization import weights_of
from machamp_lite.training import run as runs
from machamp_lite.training import trainer
from machamp_lite.training.checkpoint import SavedState
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes, process_group
from machamp_lite.training.gradient_log import task_gradients
from machamp_lite.training.train_step import WeightedLoss, train_step

WORDS = {
    "upos": {"task_type": "seq", "column_idx": 3, "class_weights": "balanced"},
    "feats": {"task_type": "multiseq", "column_idx": 5},
    "lemma": {"task_type": "string2string", "column_idx": 2, "focal_gamma": 1.0},
    "tree": {"task_type": "dependency", "column_idx": 6, "class_weights": "inverse"},
    "spans": {"task_type": "seq_bio", "column_idx": 8},
    "mood": {"task_type": "classification", "column_idx": -1},
    "degree": {"task_type": "regression", "column_idx": -1},
    "shares": {"task_type": "probdistr", "size": 2},
    "hidden": {"task_type": "mlm"},
    "cut": {"task_type": "tok"},
}
# Words and sentences without annotation; one process may have nothing else.
PARTIAL = {
    "upos": WORDS["upos"] | {"ignore_label": "VERB"},
    "feats": WORDS["feats"] | {"ignore_label": "Tense=Past"},
    "spans": WORDS["spans"] | {"ignore_label": "O"},
    "mood": WORDS["mood"] | {"ignore_label": "statement", "class_weights": "balanced"},
}
PAIRS = {
    "same": {"task_type": "classification", "column_idx": 2},
    "topics": {"task_type": "multiclas", "column_idx": 3},
}
# Weights are the numbers of words, and a column of numbers with a 0.
WEIGHTED_WORDS = {task: {**WORDS[task], "weight_column": 0} for task in ("upos", "feats", "lemma", "tree", "spans")}
WEIGHTED_PAIRS = {task: {**options, "weight_column": 5} for task, options in PAIRS.items()}
TEXTS = {"reply": {"task_type": "seq2seq", "column_idx": 7}}
# By name: the encoder, the tasks of both data files, and params.
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[str]]] = {
    "static": ("wordpiece", WORDS, PAIRS, []),
    "partial": ("wordpiece", PARTIAL, PAIRS, []),
    "uncertainty": ("wordpiece", WORDS, PAIRS, ["training.task_weighting=uncertainty"]),
    "texts": ("t5", {}, TEXTS, ["training.task_weighting=uncertainty"]),
    "random": ("wordpiece", {}, PAIRS, ["training.task_weighting=random"]),
    "dwa": ("wordpiece", {}, PAIRS, ["training.task_weighting=dwa"]),
    "famo": ("wordpiece", WORDS, PAIRS, ["training.task_weighting=famo"]),
    "weighted": ("wordpiece", WEIGHTED_WORDS, WEIGHTED_PAIRS, []),
    "padded": ("wordpiece", WORDS, PAIRS, ["encoder.packing=false", "training.grad_norm=null"]),
}
# Relative to a loss, to the largest weight of a tensor, or to the largest gradient of a step.
CLOSE = 1e-5


def in_two_processes(work: Callable[[int], int], folder: Path) -> tuple[list[int], list[str]]:
    """The exit codes and the output of two forked processes, with the variables that torchrun sets."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logs = [folder / f"printed{rank}" for rank in range(2)]
    for log in logs:
        log.unlink(missing_ok=True)

    def as_rank(rank: int) -> int:
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in places.items()})
        os.environ.update(MASTER_ADDR="127.0.0.1", GLOO_SOCKET_IFNAME="lo")
        return work(rank)

    started = [children.start(partial(as_rank, rank), log) for rank, log in enumerate(logs)]
    codes = [children.wait_for(child, seconds=300) for child in started]
    for child, code in zip(started, codes, strict=True):
        if code is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    printed = [log.read_text() for log in logs]
    assert None not in codes, "\n".join(printed)
    return codes, printed


def several_steps(config: Any, processes: Processes) -> dict[str, torch.Tensor]:
    """Losses and gradients of each step, and the weights after them."""
    runs.seed_everything(3)
    data = runs.read_data(config)
    # Without the dropout inside the transformer, and with the same masked subwords each time.
    model = runs.build_model(config, data).eval()
    # From here on, the processes draw different random numbers.
    runs.seed_everything(3 + processes.rank)
    both = [example for examples in data.train.values() for example in examples]
    # All sentences, those of one dataset, a single sentence, and two sentences of different tasks.
    every_batch = [[both], [both[-4:]], [both[:1]], [[both[0], both[-1]], both[2:5]]]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, fused=True)
    found = {}
    loss_module = processes.data_parallel(WeightedLoss(model))
    for step, batches in enumerate(every_batch):
        for task, similarities in task_gradients(model, batches, step=step, processes=processes).items():
            found |= {f"{step} {task} and {other}": torch.tensor(value) for other, value in similarities.items()}
        losses = train_step(
            model, batches, optimizer, step=step, loss_module=loss_module, processes=processes
        )
        for number, of_batch in enumerate(losses):
            found |= {f"{step} loss {number} {task}": loss.clone() for task, loss in of_batch.tasks.items()}
            # Ends an epoch, so that the task weights of "dwa" change.
            model.task_weights.end_epoch({task: loss.item() for task, loss in of_batch.tasks.items()})
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                found[f"{step} gradient {name}"] = parameter.grad.clone()
    return found | {f"state {name}": value.clone() for name, value in weights_of(model).items()}


@pytest.fixture
def configs(
    encoders: dict[str, str],
    treebank: Path,
    pairs: Path,
    tiny_params: str,
    write_config: Callable[..., str],
) -> dict[str, Any]:
    found = {}
    for name, (encoder, words, texts, params) in CASES.items():
        datasets = {
            "WORDS": {"train_data_path": str(treebank), "word_idx": 1, "tasks": words},
            "PAIRS": {"train_data_path": str(pairs), "sent_idxs": [0, 1], "tasks": texts},
        }
        path = write_config(
            f"{name}.json", **{name: dataset for name, dataset in datasets.items() if dataset["tasks"]}
        )
        overrides = [f"transformer_model={encoders[encoder]}", *params]
        found[name] = load_config([path], parameters_config=tiny_params, overrides=overrides)
    return found


def test_two_processes_have_the_gradients_and_weights_of_one(configs: dict[str, Any], tmp_path: Path) -> None:
    def work(rank: int) -> int:
        with process_group(on_gpus=False) as processes:
            assert processes.world_size == 2
            for name, config in configs.items():
                save_file(several_steps(config, processes), tmp_path / f"{name}{rank}")
        return 0

    codes, printed = in_two_processes(work, tmp_path)
    assert codes == [0, 0], printed
    for name, config in configs.items():
        assert_same_steps(name, several_steps(config, SINGLE_PROCESS), tmp_path)


def assert_same_steps(name: str, expected: dict[str, torch.Tensor], folder: Path) -> None:
    """The steps that two processes have saved are equal to those of one process."""
    first, second = (load_file(folder / f"{name}{rank}") for rank in range(2))
    assert first.keys() == expected.keys() == second.keys()
    assert any("log_variances" in key for key in expected) == ("uncertainty" in str(CASES[name]))
    for key, value in expected.items():
        assert torch.equal(first[key], second[key]), key
        # A small gradient that is the difference of large terms is less precise.
        alike = key.partition(" gradient ")[0] + " gradient " if " gradient " in key else key
        scale = max(float(other.abs().max()) for name, other in expected.items() if name.startswith(alike))
        error = float((first[key] - value).abs().max())
        assert error <= CLOSE * max(scale, 0.1), (key, error, scale)


def test_processes_exchange_objects_and_tensors(tmp_path: Path) -> None:
    def work(rank: int) -> int:
        def fail() -> None:
            raise ConfigError(["both", f"only {rank}"])

        with process_group(on_gpus=False) as processes:
            numbers = torch.full((3,), float(rank + 5))
            assert processes.all_reduce(numbers).tolist() == numbers.tolist() == [11.0] * 3
            assert processes.broadcast_object([rank, None]) == [0, None]
            assert processes.all_gather_object("x" * 10 * rank) == ["", "x" * 10]
            assert processes.any_rank(rank == 0, False, True) == [True, False, True]
            assert processes.run_on_all_ranks(lambda: rank) == rank
            with pytest.raises(DataError) as caught:
                processes.run_on_all_ranks(fail)
            assert caught.value.faults == ["both", "only 0", "only 1"]
        return 0

    codes, printed = in_two_processes(work, tmp_path)
    assert codes == [0, 0], printed


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_a_batch_is_split_into_parts_with_about_the_same_number_of_subwords(
    configs: dict[str, Any], number: int
) -> None:
    data = runs.read_data(configs["static"])
    batch = [example for examples in data.train.values() for example in examples][:5]
    cut = split_batch(batch, number)
    assert len(cut) == number
    assert sorted(id(one) for part in cut for one in part) == sorted(map(id, batch))
    totals = [sum(len(one.segments.subword_ids) for one in part) for part in cut]
    assert max(totals) - min(totals) <= max(len(one.segments.subword_ids) for one in batch)


@pytest.fixture
def flags(
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    pair_dataset: dict[str, Any],
    tiny_params: str,
    encoder: str,
    tmp_path: Path,
) -> list[str]:
    """A small run without dropout."""
    still = tmp_path / "still"
    shutil.copytree(encoder, still)
    settings = json.loads((still / "config.json").read_text())
    settings |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (still / "config.json").write_text(json.dumps(settings))
    values = [f"transformer_model={still}", "training.num_epochs=3", "training.keep_top_n=2"]
    config = write_config(WORDS=dataset, PAIRS=pair_dataset)
    return [
        *("--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1"),
        *(part for value in values for part in ("--set", value)),
    ]


def train_in_two(flags: list[str], folder: Path) -> tuple[list[int], list[str]]:
    return in_two_processes(lambda rank: cli.train(flags), folder)


def outcome(folder: Path) -> dict[str, Any]:
    """All files of a run, without its log and its times."""
    files: dict[str, Any] = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "log.txt"
    }
    return files | metrics_of(folder)


def small_batches(size: int, *, subwords: int = 40) -> list[str]:
    return ["--set", f"batching.batch_size={size}", "--set", f"batching.max_tokens={subwords}"]


@pytest.mark.parametrize(("size", "subwords"), [(1, 99), (9, 20)])
def test_a_run_of_two_processes_equals_a_run_of_one(
    flags: list[str], tmp_path: Path, size: int, subwords: int
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert cli.train([*flags, *small_batches(2 * size, subwords=2 * subwords), "--model_dir", str(one)]) == 0
    flags = [*flags, *small_batches(size, subwords=subwords), "--model_dir", str(two)]

    def work(rank: int) -> int:
        # The initial weights are those of the main process, whatever the other one has drawn.
        original = runs.seed_everything
        runs.seed_everything = lambda seed: original(seed + rank)
        return cli.train(flags)

    codes, printed = in_two_processes(work, tmp_path)
    assert codes == [0, 0], printed
    assert printed[1] == ""
    assert f"model: {two / 'model'}" in printed[0]
    assert "2 processes" in (two / "log.txt").read_text()
    expected, found = outcome(one), outcome(two)
    assert expected.keys() == found.keys()
    for ours, theirs in zip(found["history.json"], expected["history.json"], strict=True):
        assert ours["train"] == pytest.approx(theirs["train"], rel=1e-2)
        assert ours["dev"].keys() == theirs["dev"].keys()


def stopping(name: str, *, rank: int, call: int, number: int) -> Callable[[int], None]:
    """Sends a signal to one process at a given call of a function of the trainer."""
    original, calls = getattr(trainer, name), 0

    def prepare(own_rank: int) -> None:
        def counting(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call and own_rank == rank:
                os.kill(os.getpid(), number)
            return original(*arguments, **options)

        setattr(trainer, name, counting)

    return prepare


def test_a_signal_to_any_process_stops_all_and_the_run_can_be_resumed(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The random generators of each process have to be restored.
    flags = [
        *flags,
        *small_batches(1),
        "--set",
        "encoder.dropout=0.3",
        "--set",
        "training.task_weighting=random",
    ]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train_in_two([*flags, "--model_dir", str(whole)], tmp_path)[0] == [0, 0]
    command = [*flags, "--model_dir", str(broken)]
    for place, rank, call in (("train_step", 1, 2), ("evaluate", 0, 1), ("train_step", 0, 3)):
        prepare = stopping(place, rank=rank, call=call, number=signal.SIGTERM)

        def work(own_rank: int, command: list[str] = command, prepare: Any = prepare) -> int:
            prepare(own_rank)
            return cli.train(command)

        codes, printed = in_two_processes(work, tmp_path)
        assert codes == [130, 130], printed
        (reported,) = plain_lines(printed[0])
        assert reported.endswith(f"; to resume: torchrun --nproc_per_node=2 train.py --resume {broken}")
        assert plain_lines(printed[1]) == []
        command = ["--resume", str(broken), "--device", "-1"]
    document = SavedState.load(broken / "state").document
    (other,) = document["random_of_others"]
    # Torch's state begins with its seed.
    assert other["torch"][:8] != document["random"]["torch"][:8]
    capsys.readouterr()
    assert cli.train(command) == 2
    (reported,) = plain_lines(capsys.readouterr().err)
    assert reported == f"processes: found 1, but {broken} was started with 2, so it cannot be resumed"
    assert train_in_two(command, tmp_path)[0] == [0, 0]
    assert outcome(broken) == outcome(whole)


LAUNCHED = {
    "WORLD_SIZE": "2",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE: found 'two' in the environment, expected a number from 1"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE: found '0'"),
        ({"WORLD_SIZE": "-1"}, "WORLD_SIZE: found '-1'"),
        ({"WORLD_SIZE": "2.0"}, "WORLD_SIZE: found '2.0'"),
        ({"WORLD_SIZE": "9" * 5000}, "WORLD_SIZE: found '999"),
        ({**LAUNCHED, "RANK": "2"}, "RANK: found '2' in the environment, expected a number from 0 to 1"),
        ({**LAUNCHED, "RANK": "x"}, "RANK: found 'x'"),
        ({**LAUNCHED, "LOCAL_RANK": "9"}, "LOCAL_RANK: found '9'"),
        ({**LAUNCHED, "LOCAL_WORLD_SIZE": "x"}, "LOCAL_WORLD_SIZE: found 'x'"),
        ({**LAUNCHED, "MASTER_PORT": "port"}, "MASTER_PORT: found 'port'"),
        ({**LAUNCHED, "LOCAL_RANK": ""}, "LOCAL_RANK: is not set, but WORLD_SIZE is 2; start several"),
        ({"WORLD_SIZE": "2"}, "RANK: is not set, but WORLD_SIZE is 2"),
    ],
)
def test_invalid_launcher_variables_are_reported_in_one_line(
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    place: str,
) -> None:
    def joining(*_: Any, **__: Any) -> None:
        raise AssertionError("waits for other processes")

    monkeypatch.setattr(torch.distributed, "init_process_group", joining)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cli.train([*flags, "--model_dir", str(tmp_path / "run")]) == 2
    (line,) = plain_lines(capsys.readouterr().err)
    assert line.startswith(place)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("variables", [{"WORLD_SIZE": ""}, {**LAUNCHED, "WORLD_SIZE": " "}])
def test_empty_launcher_variables_are_ignored(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cli.train([*flags, "--check"]) == 0


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_ends_the_others_with_one_line_each(
    flags: list[str], tmp_path: Path, rank: int
) -> None:
    prepare = stopping("train_step", rank=rank, call=3, number=signal.SIGKILL)

    def work(own_rank: int) -> int:
        prepare(own_rank)
        return cli.train([*flags, *small_batches(1), "--model_dir", str(tmp_path / "run")])

    codes, printed = in_two_processes(work, tmp_path)
    assert codes[rank] == -signal.SIGKILL
    assert codes[1 - rank] == 1
    (reported,) = plain_lines(printed[1 - rank])
    assert reported.startswith(f"process {1 - rank} of 2: another one has ended or cannot be reached (")


@pytest.mark.parametrize(
    ("extra", "place"),
    [
        (["--set", "training.num_epochs=many"], "num_epochs"),
        (["--set", "WORDS.train_data_path=nowhere"], "nowhere"),
        (["--device", "0"], "--device: found 0, but torchrun"),
    ],
)
def test_faults_are_reported_once(flags: list[str], tmp_path: Path, extra: list[str], place: str) -> None:
    codes, printed = train_in_two([*flags, *extra, "--model_dir", str(tmp_path / "run")], tmp_path)
    assert codes == [2, 2]
    (reported,) = plain_lines(printed[0])
    assert place in reported
    assert plain_lines(printed[1]) == []
