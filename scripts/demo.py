"""Trains the sample data's tasks jointly, predicts its test files, and says where everything is."""

import json
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from machamp_lite.cli.main import main as cli  # noqa: E402
from machamp_lite.metrics import METRICS  # noqa: E402

RUN = Path("logs/demo")
TEST_FILES = {
    "TREEBANK": "data/treebank.test.conllu",
    "INTENTS": "data/intents.test.conll",
    "PAIRS": "data/pairs.test.tsv",
}


def command(program: str, *arguments: str) -> None:
    """Runs one of the two commands as a user would, and shows it."""
    print(f"\n$ python {program}.py {shlex.join(arguments)}", flush=True)
    code = {"train": cli.train, "predict": cli.predict}[program](arguments)
    if code:
        sys.exit(code)


def main() -> None:
    """Trains, predicts the test files, and shows their scores."""
    options = ["--model_dir", str(RUN), "--overwrite", "--set", "training.num_epochs=6"]
    command("train", "--dataset_configs", "configs/demo.json", *options)
    outputs = {}
    for dataset, path in TEST_FILES.items():
        outputs[dataset] = RUN / f"test.{Path(path).name}"
        command("predict", str(RUN), path, str(outputs[dataset]), "--dataset", dataset)
    print("\nOn the test files:")
    for dataset, output in outputs.items():
        for task, values in json.loads(Path(f"{output}.eval").read_text(encoding="utf-8")).items():
            metrics = [(name, value) for name, value in values.items() if name in METRICS]
            shown = ", ".join(f"{name} {METRICS[name].as_text(value)}" for name, value in metrics)
            print(f"  {dataset} {task}: {shown}")
    print(
        f"\nThe run's folder is {RUN}: metrics.json has every epoch, model/ the best one, *.out its predictions."
    )
    print("To use the model:")
    print(f"  .venv/bin/python predict.py {RUN} INPUT.conllu OUTPUT.conllu --dataset TREEBANK")


if __name__ == "__main__":
    main()
