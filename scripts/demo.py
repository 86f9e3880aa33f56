"""Trains all tasks of configs/demo.json jointly, predicts the test files and prints their scores."""

import json
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from machamp_lite.cli import main as cli  # noqa: E402
from machamp_lite.metrics import METRICS  # noqa: E402

RUN = Path("logs/demo")
TEST_FILES = {"TREEBANK": "data/ewt/test.conllu", "INTENTS": "data/xsid/test.conll"}


def command(program: str, *arguments: str) -> None:
    """Prints and runs one of the two commands; exits if it fails."""
    print(f"\n$ python {program}.py {shlex.join(arguments)}", flush=True)
    code = {"train": cli.train, "predict": cli.predict}[program](arguments)
    if code:
        sys.exit(code)


def main() -> None:
    """Trains, predicts the test files and prints their scores."""
    options = ["--model_dir", str(RUN), "--overwrite", "--set", "training.num_epochs=4"]
    command("train", "--dataset_configs", "configs/demo.json", *options)
    outputs = {dataset: RUN / f"test.{Path(path).name}" for dataset, path in TEST_FILES.items()}
    for dataset, path in TEST_FILES.items():
        command("predict", str(RUN), path, str(outputs[dataset]), "--dataset", dataset)
    print("\nScores on the test files:")
    for dataset, output in outputs.items():
        for task, values in json.loads(Path(f"{output}.eval").read_text(encoding="utf-8")).items():
            metrics = [(name, value) for name, value in values.items() if name in METRICS]
            shown = ", ".join(f"{name} {METRICS[name].as_text(value)}" for name, value in metrics)
            print(f"  {dataset} {task}: {shown}")
    print(f"\nThe run folder is {RUN}: history.json has the scores of every epoch, model/ the best model,")
    print("and *.out the predictions of the dev and test files. To use the model:")
    print(f"  .venv/bin/python predict.py {RUN} INPUT.conllu OUTPUT.conllu --dataset TREEBANK")


if __name__ == "__main__":
    main()
