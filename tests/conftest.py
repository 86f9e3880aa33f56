"""Small configs and data to train with; the encoders are in ``tiny_encoders``."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before anything imports transformers: no test may ask a hub.
os.environ["HF_HUB_OFFLINE"] = "1"
# Some tests fork, which a process with a GPU cannot: pytest tests/test_gpu.py is run by itself.
if not any("test_gpu" in argument for argument in sys.argv):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import hypothesis
import pytest
import torch
from tiny_encoders import Encoders

# Tiny models gain nothing from a second thread.
torch.set_num_threads(1)
# On a busy machine, drawing examples may take long.
hypothesis.settings.register_profile("busy", suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the user's own cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Encoders:
    """Folders of tiny random encoders by kind, each made when it is first asked for."""
    return Encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="session")
def encoder(encoders: dict[str, str]) -> str:
    """The folder of a tiny random BERT."""
    return encoders["wordpiece"]


TREEBANK = """\
# sent_id = 1
# text = The dogs don't sleep.
# mood = statement
# degree = 2.5
# shares = 0.25|0.75
# reply = they are old
1\tThe\tthe\tDET\tDT\tDefinite=Def\t2\tdet\tB-animal\t_
2\tdogs\tdog\tNOUN\tNNS\tNumber=Plur\t5\tnsubj\tI-animal\t_
3-4\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
3\tdo\tdo\tAUX\tVBP\t_\t5\taux\tO\t_
4\tn't\tnot\tPART\tRB\t_\t5\tadvmod\tO\t_
5\tsleep\tsleep\tVERB\tVB\t_\t0\troot\tB-state\tSpaceAfter=No
6\t.\t.\tPUNCT\t.\t_\t5\tpunct\tO\t_

# sent_id = 2
# text = Who ran?
# mood = question
# degree = -1
# shares = 1|0
# reply = the old dog ran .
1\tWho\twho\tPRON\tWP\t_\t2\tnsubj\tO\t_
2\tran\trun\tVERB\tVBD\tTense=Past\t0\troot\tB-motion\t_
2.1\tran\trun\tVERB\tVBD\t_\t_\t_\t2:conj\t_
3\t?\t?\tPUNCT\t.\t_\t2\tpunct\tO\t_

# sent_id = 3
# text = Run
# mood = order
# degree = 0.125
# shares = 0.5|0.5
# reply = he ran
1\tRun\trun\tVERB\tVB\t_\t0\troot\tB-motion\t_

# sent_id = 4
# text = Anna reads books.
# mood = statement
# degree = 4
# shares = 0|1
# reply = they like books
1\tAnna\tAnna\tPROPN\tNNP\t_\t2\tnsubj\tB-person\t_
2\treads\tread\tVERB\tVBZ\tMood=Ind|Number=Sing|Tense=Pres\t0\troot\tO\t_
3\tbooks\tbook\tNOUN\tNNS\tNumber=Plur\t2\tobj\tB-thing\t_
4\t.\t.\tPUNCT\t.\t_\t2\tpunct\tO\t_

"""
PAIRS = """\
a dog sleeps\tthe dog rests\tyes\tanimals|rest\t4.5\t0.75\t0.25\ta dog rests
books fell\ta cat ran\tno\tanimals|motion|things\t0\t0\t1\tcats ran
he left\the stayed\tno\tmotion|rest\t-1.25\t0.5\t0.5\the was here
trains run\tbuses run\tyes\tmotion\t3\t1\t0\tall run
"""


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    """Four sentences with a multiword row, an empty node, comments, BIO in column 8, and a sentence of one word."""
    path = tmp_path / "treebank.conllu"
    path.write_text(TREEBANK, encoding="utf-8")
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Four sentence pairs with labels, sets of labels, numbers, distributions of two, and texts."""
    path = tmp_path / "pairs.tsv"
    path.write_text(PAIRS, encoding="utf-8")
    return path


UD_TASKS: dict[str, dict[str, Any]] = {
    "upos": {"task_type": "seq", "column_idx": 3},
    "lemma": {"task_type": "string2string", "column_idx": 2},
    "tree": {"task_type": "dependency", "column_idx": 6},
    "mood": {"task_type": "classification", "column_idx": -1},
}


@pytest.fixture
def dataset(treebank: Path) -> dict[str, Any]:
    """A dataset with a task of each word-level type and one from comments."""
    path = str(treebank)
    return {"train_data_path": path, "dev_data_path": path, "word_idx": 1, "tasks": UD_TASKS}


@pytest.fixture
def pair_dataset(pairs: Path) -> dict[str, Any]:
    """A dataset of sentence pairs."""
    path = str(pairs)
    tasks = {"same": {"task_type": "classification", "column_idx": 2}}
    return {"train_data_path": path, "dev_data_path": path, "sent_idxs": [0, 1], "tasks": tasks}


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., str]:
    """Writes a dataset config, given as datasets by name, and returns its path."""

    def write(name: str = "config.json", **datasets: Any) -> str:
        path = tmp_path / name
        path.write_text(json.dumps(datasets), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def tiny_params(tmp_path: Path, encoder: str) -> str:
    """A params file for fast runs with the tiny encoder."""
    path = tmp_path / "params.json"
    params = {
        "transformer_model": encoder,
        "encoder": {"dropout": 0.0, "max_input_length": 64},
        "decoders": {
            "dependency": {"arc_representation_dim": 16, "tag_representation_dim": 8, "dropout": 0.0}
        },
        # Numbers are compared, and "auto" is another precision on another machine.
        "training": {"num_epochs": 2, "precision": "fp32", "report": False},
    }
    path.write_text(json.dumps(params), encoding="utf-8")
    return str(path)


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The folder of published data sets next to the checkout; without it the test is skipped."""
    if not SHARED.is_dir():
        pytest.skip("the published data sets are not next to the checkout")
    return SHARED
