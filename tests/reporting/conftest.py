"""One small run for all tests of the report: tasks on words, trees, spans and sentences, and tasks on texts."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_encoders import Encoders

import machamp_lite

# Markup in words and labels, which must stay text.
HOSTILE = "<img/src=x/onerror=alert(1)>"
WORDS = """\
# mood = statement
1\tThe\tthe\tDET\t_\t_\t2\tdet\tB-animal\t_
2\tdogs\tdog\tNOUN\t_\t_\t3\tnsubj\tI-animal\t_
3\tsleep\tsleep\tVERB\t_\t_\t0\troot\tO\t_

# mood = question
1\tWho\twho\tPRON\t_\t_\t2\tnsubj\tO\t_
2\tran\trun\tVERB\t_\t_\t0\troot\tB-motion\t_

# mood = order
1\tRun\trun\tVERB\t_\t_\t0\troot\tB-motion\t_

# mood = statement
1\tAnna\tAnna\tPROPN\t_\t_\t2\tnsubj\tB-person\t_
2\treads\tread\tVERB\t_\t_\t0\troot\tO\t_
3\tbooks\tbook\tNOUN\t_\t_\t2\tobj\tB-thing\t_

"""
PAIRS = """\
a dog sleeps\tthe dog rests\tyes\tanimals|rest\t4.5
books fell\ta cat ran\tno\tanimals|motion|things\t0
he left\the stayed\tno\tmotion|rest\t-1.25
trains run\tbuses run\tyes\tmotion\t3
"""
TASKS = {
    "upos": {"task_type": "seq", "column_idx": 3, "class_weights": "balanced", "additional_metrics": ["f1_macro"]},
    "lemma": {"task_type": "string2string", "column_idx": 2},
    "tree": {"task_type": "dependency", "column_idx": 6},
    "entities": {"task_type": "seq_bio", "column_idx": 8},
    "mood": {"task_type": "classification", "column_idx": -1, "loss_weight": 0.5},
}
TEXT_TASKS = {
    "same": {"task_type": "classification", "column_idx": 2},
    "topics": {"task_type": "multiclas", "column_idx": 3},
    "score": {"task_type": "regression", "column_idx": 4},
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, encoders: Encoders) -> Path:
    """The folder of a run without a report, next to its data."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "train.conllu").write_text(WORDS, encoding="utf-8")
    dev = WORDS.replace("\tbooks\t", f"\t{HOSTILE}\t").replace("= question", f"= {HOSTILE}")
    (folder / "dev.conllu").write_text(dev, encoding="utf-8")
    (folder / "pairs.tsv").write_text(PAIRS, encoding="utf-8")
    words, pairs = str(folder / "train.conllu"), str(folder / "pairs.tsv")
    datasets: dict[str, Any] = {
        "WORDS": {"train_data_path": words, "dev_data_path": str(folder / "dev.conllu"), "word_idx": 1, "tasks": TASKS},
        "PAIRS": {"train_data_path": pairs, "dev_data_path": pairs, "sent_idxs": [0, 1], "tasks": TEXT_TASKS},
    }
    (folder / "config.json").write_text(json.dumps(datasets), encoding="utf-8")
    params = {
        "transformer_model": encoders["wordpiece"],
        "encoder": {"max_input_length": 64},
        "training": {"num_epochs": 2, "precision": "fp32", "report": False},
    }
    (folder / "params.json").write_text(json.dumps(params), encoding="utf-8")
    config = machamp_lite.load_config([folder / "config.json"], params=folder / "params.json")
    machamp_lite.train(config, folder / "run", progress=False)
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run and its data, which may be changed."""
    folder = tmp_path / "report"
    shutil.copytree(trained.parent, folder)
    for name in ("dataset-configs.json", "environment.json"):
        path = folder / "run" / name
        text = path.read_text(encoding="utf-8").replace(str(trained.parent), str(folder))
        path.write_text(text, encoding="utf-8")
    return folder / "run"
