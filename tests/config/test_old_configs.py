"""Configs and params as MaChAmp's users have them run as they are: each task is scored, each line is in the output."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from machamp_lite.cli import main as cli

ROOT = Path(__file__).resolve().parents[2]

# Params of 0.4, before any key of this project: with a comment, trailing commas and two older names.
PARAMS = """\
// MaChAmp parameters
{
  "transformer_model": "ENCODER",
  "reset_transformer_model": false,
  "random_seed": 8446,
  "default_dec_dataset_embeds_dim": 12,
  "encoder": {
    "dropout": 0.2,
    "max_input_length": 64,
    "update_weights_encoder": true,
    "layers_to_use": [-1],
  },
  "decoders": {
    "default_decoder": {"loss_weight": 1.0, "metric": "accuracy", "topn": 1},
    "classification": {},
    "dependency": {"arc_representation_dim": 24, "tag_representation_dim": 8, "metric": "las"},
    "mlm": {"metric": "perplexity"},
    "multiclas": {"metric": "multi_acc", "threshold": 0.7},
    "multiseq": {"metric": "multi_acc", "threshold": 0.7},
    "probdistr": {"metric": "avg_dist"},
    "regression": {"metric": "avg_dist"},
    "seq": {},
    "seq_bio": {"metric": "span_f1"},
    "string2string": {},
    "tok": {"pre_split": true},
  },
  "batching": {
    "max_tokens": 1024,
    "batch_size": 32,
    "shuffle": true,
    "sort_by_size": true,
    "diverse": DIVERSE,
    "sampling_smoothing": SMOOTHING,
  },
  "training": {
    "keep_top_n": 1,
    "num_epochs": 1,
    "optimizer": {"lr": 0.0001, "betas": [0.9, 0.99], "weight_decay": 0.01},
    "learning_rate_scheduler": {
      "cut_frac": 0.3,
      "decay_factor": 0.38,
      "discriminative_fine_tuning": true,
      "gradual_unfreezing": true,
    },
  },
}
"""

UD = """\
{
    "UD_SAMPLE": {
        "train_data_path": "data/ewt/train.conllu",
        "validation_data_path": "data/ewt/dev.conllu",
        "word_idx": 1,
        "max_sents": 80,
        "tasks": {
            "lemma": {"task_type": "string2string", "column_idx": 2},
            "upos": {"task_type": "seq", "column_idx": 3},
            "feats": {"task_type": "seq", "column_idx": 5},
            "dependency": {"task_type": "dependency", "column_idx": 6},
            "tokenization": {"task_type": "tok", "column_idx": -1},
        }
    }
}
"""
NER = """\
{
    "NER": {
        "train_data_path": "data/xsid/train.conll",
        "dev_data_path": "data/xsid/dev.conll",
        "word_idx": 1, // the second column
        "max_words": 600,
        "tasks": {
            "ner": {
                "task_type": "seq_bio",
                "column_idx": 3,
                "additional_metrics": "accuracy"
            }
        }
    }
}
"""
GLUE = """\
/* Several tasks of sentence pairs in one file, each with a header. */
{
    "RTE": {
        "train_data_path": "with_header.tsv",
        "dev_data_path": "with_header.tsv",
        "skip_first_line": true,
        "sent_idxs": [0, 1],
        "tasks": {
            "rte": {"task_type": "classification", "column_idx": 2, "metric": "f1_macro"}
        }
    },
    "QNLI": {
        "train_data_path": "with_header.tsv",
        "dev_data_path": "with_header.tsv",
        "skip_first_line": true,
        "sent_idxs": [1],
        "tasks": {
            "qnli": {"task_type": "classification", "column_idx": 2, "loss_weight": 0.5}
        }
    }
}
"""
REGRESSION = """\
{
    "STS": {
        "train_data_path": "data/pairs/train.tsv",
        "validation_data_path": "data/pairs/dev.tsv",
        "sent_idxs": [0, 1],
        "max_sents": 80,
        "tasks": {
            "sts": {"task_type": "regression", "column_idx": 3, "metric": "pearson", "additional_metrics": ["avg_dist"]}
        }
    }
}
"""
MULTICLAS = """\
{
    "TOPICS": {
        "train_data_path": "data/xsid/train.tsv",
        "dev_data_path": "data/xsid/dev.tsv",
        "sent_idxs": [0],
        "max_sents": 80,
        "tasks": {
            "topics": {"task_type": "multiclas", "column_idx": 3}
        }
    }
}
"""
PROBDISTR = """\
{
    "VOTES": {
        "train_data_path": "data/pairs/train.tsv",
        "dev_data_path": "data/pairs/dev.tsv",
        "sent_idxs": [0, 1],
        "max_sents": 80,
        "tasks": {
            "votes": {"task_type": "probdistr", "column_idxs": [4, 5, 6]}
        }
    }
}
"""
MLM = """\
{
    "WIKI": {
        "train_data_path": "data/ewt/text.train.txt",
        "validation_data_path": "data/ewt/text.dev.txt",
        "max_sents": 80,
        "tasks": {
            "mlm": {"task_type": "mlm", "loss_weight": 0.1}
        }
    }
}
"""
NLU = """\
{
    "NLU": {
        "train_data_path": "data/xsid/train.conll",
        "validation_data_path": "data/xsid/dev.conll",
        "word_idx": 1,
        "max_sents": 80,
        "tasks": {
            "intent": {"task_type": "classification", "column_idx": -1},
            "slots": {"task_type": "seq_bio", "column_idx": 3}
        }
    }
}
"""
NMT = """\
{
    "NMT": {
        "train_data_path": "data/xsid/train.tsv",
        "validation_data_path": "data/xsid/dev.tsv",
        "sent_idxs": [1],
        "max_sents": 40,
        "tasks": {
            "english": {"task_type": "seq2seq", "column_idx": 0}
        }
    }
}
"""
# The same tasks in two treebanks: one decoder each, and an id in MISC that tells the treebanks apart.
DATASET_IDS = """\
local treebank = {
    "train_data_path": "with_ids.conllu",
    "validation_data_path": "with_ids.conllu",
    "word_idx": 1,
    "dataset_embed_idx": 9,
    "tasks": {
        "upos": {"task_type": "seq", "column_idx": 3},
        "feats": {"task_type": "multiseq", "column_idx": 5},
        "dependency": {"task_type": "dependency", "column_idx": 6},
    },
};
{"UD_A": treebank, "UD_B": treebank + {"dataset_embed_idx": -1}}
"""
CONFIGS = {
    "ud": UD,
    "ner": NER,
    "glue": GLUE,
    "regression": REGRESSION,
    "multiclas": MULTICLAS,
    "probdistr": PROBDISTR,
    "mlm": MLM,
    "nlu": NLU,
    "nmt": NMT,
    "dataset_embed_idx": DATASET_IDS,
}


@pytest.fixture
def train(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoders: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Path]:
    """Trains one epoch on some of the configs, in a folder with the sample data, and returns the run's folder."""
    os.symlink(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    rows = Path("data/pairs/dev.tsv").read_text(encoding="utf-8")
    Path("with_header.tsv").write_text(f"premise\thypothesis\tlabel\n{rows}", encoding="utf-8")
    sentences = Path("data/ewt/dev.conllu").read_text(encoding="utf-8").split("\n\n")[:40]
    with_ids = "\n\n".join(sentences).replace("\t_\n", "\tdataset_embed=reviews\n")
    Path("with_ids.conllu").write_text(f"{with_ids}\n\n", encoding="utf-8")

    def run(*names: str, diverse: bool = False, smoothing: float = 1.0) -> Path:
        kind = "t5" if "nmt" in names else "wordpiece"
        params = PARAMS.replace("ENCODER", encoders[kind]).replace("SMOOTHING", str(smoothing))
        Path("params.json").write_text(params.replace("DIVERSE", str(diverse).lower()), encoding="utf-8")
        for name in names:
            Path(f"{name}.json").write_text(CONFIGS[name], encoding="utf-8")
        flags = [
            "--dataset_configs",
            *(f"{name}.json" for name in names),
            "--parameters_config",
            "params.json",
        ]
        # MaChAmp's params have no entry for this; a tiny random model would write to the end.
        shorter = ["--set", "decoders.seq2seq.max_output_length=6"]
        code = cli.train([*flags, "--name", "old", "--model_dir", "run", "--device", "-1", *shorter])
        assert code == 0, capsys.readouterr().err
        return Path("run")

    return run


def assert_whole(run: Path) -> None:
    """Each task of each dataset has the score of its main metric, and each line of dev data is in the output."""
    datasets = json.loads((run / "dataset-configs.json").read_text(encoding="utf-8"))
    (epoch,) = json.loads((run / "history.json").read_text(encoding="utf-8"))
    for name, dataset in datasets.items():
        final = json.loads((run / f"{name}.out.eval").read_text(encoding="utf-8"))
        for task, config in dataset["tasks"].items():
            assert task in epoch["train"]
            assert epoch["dev"][name][task][config["metric"]] == pytest.approx(
                final[task][config["metric"]], abs=1e-6
            )
        before = Path(dataset["dev_data_path"]).read_text(encoding="utf-8").splitlines()
        after = (run / f"{name}.out").read_text(encoding="utf-8").splitlines()
        assert len(after) == len(before)
        for one, other in zip(before, after, strict=True):
            columns = len(one.split("\t"))
            assert len(other.split("\t")) == columns


@pytest.mark.parametrize("name", CONFIGS)
def test_an_old_config_runs_as_it_is(train: Callable[..., Path], name: str) -> None:
    assert_whole(train(name))


@pytest.mark.parametrize("diverse", [False, True])
def test_datasets_of_three_kinds_are_trained_jointly(train: Callable[..., Path], diverse: bool) -> None:
    run = train("ud", "nlu", "regression", diverse=diverse, smoothing=0.5)
    assert_whole(run)
    tasks = json.loads((run / "history.json").read_text(encoding="utf-8"))[0]["train"]
    assert tasks.keys() == {
        *("lemma", "upos", "feats", "dependency", "tokenization"),
        *("intent", "slots", "sts"),
    }


def test_all_old_params_are_used(train: Callable[..., Path]) -> None:
    params = json.loads((train("ud") / "params-config.json").read_text(encoding="utf-8"))
    assert params["encoder"]["dropout"] == 0.2
    assert params["encoder"]["dataset_embeds_dim"] == 12
    assert params["decoders"]["default_decoder"]["layers_to_use"] == [-1]
    assert params["decoders"]["dependency"]["arc_representation_dim"] == 24
    assert params["decoders"]["multiseq"]["threshold"] == 0.7
    assert params["batching"]["max_tokens"] == 1024
    assert params["training"]["optimizer"]["lr"] == 0.0001
    assert params["training"]["learning_rate_scheduler"]["gradual_unfreezing"] is True


def test_what_a_dataset_says_is_kept_under_its_newer_name(train: Callable[..., Path]) -> None:
    run = train("regression")
    dataset = json.loads((run / "dataset-configs.json").read_text(encoding="utf-8"))["STS"]
    assert dataset["dev_data_path"] == "data/pairs/dev.tsv"
    assert dataset["tasks"]["sts"]["metric"] == "pearson"
    assert dataset["tasks"]["sts"]["additional_metrics"] == ["avg_dist"]
