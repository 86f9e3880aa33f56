"""How much of the bare encoder's speed is left in training and prediction.

Measures, turn by turn in one run, the subwords a second of whole training steps (batches, forward, losses,
backward, clipping, update) over those of the bare encoder's forward and backward on the same sentences in groups of
equal length, so without padding; and of prediction (instances to labels) over the bare forward. Medians of ratios.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from machamp_lite.batching.instances import Instance
from machamp_lite.batching.sampler import Sampler, Stream
from machamp_lite.config import load_config
from machamp_lite.evaluation import autocast, predict_labels
from machamp_lite.files import write_json
from machamp_lite.model import Model
from machamp_lite.runs import build_model, read_data, seed_everything
from machamp_lite.training.optimization import make_optimizer
from machamp_lite.training.trainer import train_step


def equal_length_groups(instances: Sequence[Instance], *, max_tokens: int) -> list[torch.Tensor]:
    """Subword ids (B, L) of sentences of one length each, within a budget; long sentences count piece by piece."""
    by_length: dict[int, list[torch.Tensor]] = defaultdict(list)
    for instance in instances:
        ends = [*instance.pieces.piece_starts[1:], len(instance.pieces.subword_ids)]
        for start, end in zip(instance.pieces.piece_starts, ends, strict=True):
            by_length[end - start].append(torch.from_numpy(instance.pieces.subword_ids[start:end]))
    groups = []
    for length, rows in sorted(by_length.items()):
        size = max(1, max_tokens // int(length))
        groups += [torch.stack(rows[start : start + size]) for start in range(0, len(rows), size)]
    return groups


def seconds(work: Callable[[], None]) -> float:
    """The wall-clock time of some work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bare_training(model: Model, groups: Sequence[torch.Tensor]) -> None:
    """The encoder's forward and backward, and nothing else."""
    model.train()
    for ids in groups:
        model.zero_grad(set_to_none=True)
        with autocast(model):
            output = model.encoder.transformer(input_ids=ids)
        output.last_hidden_state.float().sum().backward()


def bare_prediction(model: Model, groups: Sequence[torch.Tensor]) -> None:
    """The encoder's forward, and nothing else."""
    model.eval()
    with torch.inference_mode(), autocast(model):
        for ids in groups:
            model.encoder.transformer(input_ids=ids)


def whole_training(model: Model, batches: Sequence[list[Instance]], optimizer: torch.optim.Optimizer) -> None:
    """Training steps as the trainer takes them."""
    model.train()
    for instances in batches:
        train_step(model, model.batch(instances, only_annotated=True), optimizer)


def whole_prediction(model: Model, instances: Sequence[Instance]) -> None:
    """Prediction from instances to labels."""
    for _ in predict_labels(model, instances):
        pass


def measure(model: Model, instances: list[Instance], *, repeats: int) -> dict[str, dict[str, float]]:
    """Medians over interleaved repeats: subwords a second of both sides, and their ratio."""
    batching = model.config.params.batching
    groups = equal_length_groups(instances, max_tokens=batching.max_tokens)
    batches = Sampler([Stream(instances)], batching, seed=1).epoch(1)
    optimizer = make_optimizer(model, model.config.params.training)
    subwords = sum(len(instance.pieces.subword_ids) for instance in instances)
    works = {
        "training": (lambda: bare_training(model, groups), lambda: whole_training(model, batches, optimizer)),
        "prediction": (lambda: bare_prediction(model, groups), lambda: whole_prediction(model, instances)),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for repeat in range(repeats + 1):
        for name, (bare, whole) in works.items():
            pair = (seconds(bare), seconds(whole))
            # The first round warms up.
            if repeat:
                times[name].append(pair)
    return {
        name: {
            "bare_subwords_per_second": round(subwords / statistics.median(bare for bare, _ in pairs), 1),
            "whole_subwords_per_second": round(subwords / statistics.median(whole for _, whole in pairs), 1),
            "ratio": round(statistics.median(bare / whole for bare, whole in pairs), 3),
        }
        for name, pairs in times.items()
    }


def main() -> None:
    """Measures one dataset config and prints a table; with --json, writes it too."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset_configs", nargs="+", default=["configs/treebank.json"], metavar="FILE")
    parser.add_argument("--parameters_config", metavar="FILE")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds that count (default: 5)")
    parser.add_argument(
        "--sentences", type=int, default=600, metavar="N", help="of each dataset (default: 600)"
    )
    parser.add_argument("--json", metavar="FILE", help="where to write the figures too")
    flags = parser.parse_args()
    load = os.getloadavg()[0]
    if load > 0.5 * (os.cpu_count() or 1):
        print(
            f"warning: the load of this machine is {load:.1f} already; trust the ratios only", file=sys.stderr
        )
    config = load_config(
        flags.dataset_configs, parameters_config=flags.parameters_config, overrides=flags.overrides
    )
    seed_everything(config.params.random_seed)
    data = read_data(config)
    model = build_model(config, data)
    instances = [instance for part in data.train.values() for instance in part[: flags.sentences]]
    figures = measure(model, instances, repeats=flags.repeats)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(
        f"{len(instances)} sentences, {len(model.tasks)} tasks, {config.params.training.precision}, {machine}\n"
    )
    print("| | bare encoder, subwords/s | whole, subwords/s | ratio |\n|---|---|---|---|")
    for name, row in figures.items():
        print(f"| {name} | {' | '.join(str(value) for value in row.values())} |")
    if flags.json:
        write_json(flags.json, {"machine": machine, "sentences": len(instances), **figures})
        print(f"\nwritten: {json.dumps(flags.json)}")


if __name__ == "__main__":
    main()
