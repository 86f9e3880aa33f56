"""Small trained models of words and of pairs of texts."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_encoders import Encoders

import machamp_lite

WORDS = """\
# text = The dogs don't sleep.
# mood = statement
1\tThe\tthe\tDET\t_\t_\t2\tdet\tB-animal\t_
2\tdogs\tdog\tNOUN\t_\t_\t5\tnsubj\tI-animal\t_
3-4\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
3\tdo\tdo\tAUX\t_\t_\t5\taux\tO\t_
4\tn't\tnot\tPART\t_\t_\t5\tadvmod\tO\t_
5\tsleep\tsleep\tVERB\t_\t_\t0\troot\tB-state\tSpaceAfter=No
6\t.\t.\tPUNCT\t_\t_\t5\tpunct\tO\t_

# text = Who ran?
# mood = question
1\tWho\twho\tPRON\t_\t_\t2\tnsubj\tO\t_
2\tran\trun\tVERB\t_\t_\t0\troot\tB-motion\t_
2.1\tran\trun\tVERB\t_\t_\t_\t_\t_\t_
3\t?\t?\tPUNCT\t_\t_\t2\tpunct\tO\t_

# text = Run
# mood = order
1\tRun\trun\tVERB\t_\t_\t0\troot\tB-motion\t_

"""
PAIRS = "a dog sleeps\tthe dog rests\tyes\nbooks fell\ta cat ran\tno\nhe left\the stayed\tno\n"
DATASETS: dict[str, dict[str, Any]] = {
    "words": {
        "train_data_path": "words.conllu",
        "word_idx": 1,
        "tasks": {
            "upos": {"task_type": "seq", "column_idx": 3},
            "lemma": {"task_type": "string2string", "column_idx": 2},
            "tree": {"task_type": "dependency", "column_idx": 6},
            "entities": {"task_type": "seq_bio", "column_idx": 8},
            "mood": {"task_type": "classification", "column_idx": -1},
        },
    },
    "pairs": {
        "train_data_path": "pairs.tsv",
        "sent_idxs": [0, 1],
        "tasks": {"same": {"task_type": "classification", "column_idx": 2}},
    },
}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, encoders: Encoders) -> Path:
    """A folder with the runs ``words`` and ``pairs``, and the files that they were trained on."""
    folder = tmp_path_factory.mktemp("serving")
    (folder / "words.conllu").write_text(WORDS, encoding="utf-8")
    (folder / "pairs.tsv").write_text(PAIRS, encoding="utf-8")
    settings = {"num_epochs": 1, "precision": "fp32", "report": False, "calibrate": False}
    encoder = {"transformer_model": encoders["wordpiece"], "encoder": {"max_input_length": 64}}
    params = {**encoder, "training": settings}
    (folder / "params.json").write_text(json.dumps(params), encoding="utf-8")
    for name, dataset in DATASETS.items():
        dataset = {**dataset, "train_data_path": str(folder / dataset["train_data_path"])}
        (folder / f"{name}.json").write_text(json.dumps({name.upper(): dataset}), encoding="utf-8")
        machamp_lite.train(folder / f"{name}.json", folder / name, params=folder / "params.json", device="cpu")
    return folder
