"""How long the commands take before they do anything."""

import sys
import tempfile
from pathlib import Path

from benchmarks.child import ROOT, run
from benchmarks.figures import Figure
from benchmarks.rounds import timed
from benchmarks.subject import Subject, read
from machamp_lite.data.records import read_records
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.model.serialization import save_model


def startup(subject: Subject) -> list[Figure]:
    """Seconds of whole processes: help, imports, and the prediction of one sentence."""
    with tempfile.TemporaryDirectory() as place:
        model, text, output = (Path(place, name) for name in ("model", "text", "output"))
        material = read(subject.config(), sentences=1)
        save_model(material.model(), model)
        name, dataset = next(iter(material.config.datasets.items()))
        records = read_records(str(dataset.train_data_path), file_format_of(dataset))
        first = next(record for record in records if record.rows)
        text.write_text(first.text(), encoding="utf-8", newline="")
        commands = {
            "help": [str(ROOT / "train.py"), "--help"],
            "imports": ["-c", "import machamp_lite.training.run"],
            "predict": [
                *(str(path) for path in (ROOT / "predict.py", model, text, output)),
                *("--dataset", name, "--device", "-1"),
            ],
        }
        times = timed(
            {
                key: lambda command=command: run([sys.executable, *command])  # type: ignore[misc]
                for key, command in commands.items()
            },
            repeats=subject.repeats,
        )
    what = {
        "help": "python train.py --help",
        "imports": "importing what training imports",
        "predict": "python predict.py with one sentence",
    }
    return [Figure(f"startup_{key}", what[key], "s", values) for key, values in times.items()]
