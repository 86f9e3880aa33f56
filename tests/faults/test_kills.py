"""A run that is killed at random moments, and resumed each time, ends bit for bit like one that was not."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from children import wait_for
from forked import outcome, start_training, train_to_the_end

from machamp_lite.files.run_files import STATE_FILE

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "4"))
MLM = {"text": {"task_type": "mlm"}}
# Options, the datasets of a run, and epochs that it has at most.
RUNS = {
    "one dataset": (["batching.max_tokens=60"], ["WORDS"], 15),
    "several datasets": (
        ["batching.sampling_smoothing=0.5", "training.task_weighting=random"],
        ["WORDS", "PAIRS"],
        10,
    ),
    "masked language modelling": (
        ["batching.max_tokens=30", "datasets.split_mlm=false"],
        ["TEXT", "WORDS"],
        8,
    ),
    "early stopping": (["training.patience=1", "training.optimizer.lr=0.02"], ["WORDS", "PAIRS"], 20),
    "accumulation, and epochs that are kept": (
        [
            "training.accumulation_steps=3",
            "training.keep_top_n=3",
            "training.task_weighting=dwa",
            "batching.batch_size=1",
        ],
        ["WORDS", "PAIRS"],
        10,
    ),
    "subwords that are not seen": (
        ["training.optimizer.weight_decay=5", "batching.batch_size=1"],
        ["FEW"],
        10,
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_is_killed_and_resumed_ends_bit_for_bit_like_an_unbroken_one(
    name: str,
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    pair_dataset: dict[str, Any],
    tiny_params: str,
    tmp_path: Path,
) -> None:
    options, names, epochs = RUNS[name]
    datasets = {"WORDS": dataset, "PAIRS": pair_dataset, "TEXT": {**dataset, "tasks": MLM}}
    datasets["FEW"] = {**dataset, "max_sents": 2}
    # A state is saved after every step.
    options = [*options, f"training.num_epochs={epochs}", "training.save_minutes=1e-9", "encoder.dropout=0.3"]
    flags = [
        *("--dataset_configs", write_config(**{name: datasets[name] for name in names})),
        *("--parameters_config", tiny_params, "--device", "-1"),
        *(part for option in options for part in ("--set", option)),
    ]
    whole, broken, log = tmp_path / "whole", tmp_path / "broken", tmp_path / "printed"
    begin = time.monotonic()
    train_to_the_end([*flags, "--model_dir", str(whole)], log)
    seconds = time.monotonic() - begin
    expected = outcome(whole)
    if name == "subwords that are not seen":
        assert "the remaining embeddings get weight decay only" in log.read_text()
    if name == "early stopping":
        assert 2 < len(expected["history.json"]) < epochs

    # What is done by a moment differs from machine to machine, so that the seed is for the record.
    seed = random.SystemRandom().randrange(10**6)
    moments = random.Random(seed)
    fresh = [*flags, "--model_dir", str(broken), "--overwrite"]
    kills = resumed = ends = 0
    while kills < KILLS or not ends:
        resumes = (broken / "state" / STATE_FILE).exists()
        resumed += resumes
        arguments = ["--resume", str(broken), "--device", "-1"] if resumes else fresh
        child = start_training(arguments, log)
        begin = time.monotonic()
        patience = moments.uniform(0.1, 0.9) * seconds if kills < KILLS else 60.0
        code = wait_for(child, seconds=patience)
        if code is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            assert kills < KILLS, f"{name}: seed {seed}, no end in {patience:.0f} s\n{log.read_text()}"
            kills, ends = kills + 1, 0
        else:
            if not resumes:
                # Where the machine was slow at first, later moments would miss most of the runs.
                seconds = min(seconds, time.monotonic() - begin)
            assert code == 0, log.read_text()
            assert outcome(broken) == expected, f"{name}: seed {seed}, {kills} kills"
            ends += 1
    assert kills == KILLS
    print(f"{name}: seed {seed}, {seconds:.1f} s unbroken; {kills} kills, {resumed} times resumed")
