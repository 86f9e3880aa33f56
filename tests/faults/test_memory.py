"""Prediction takes no more memory for a longer file, and its output grows as it goes."""

import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing import TREEBANK

from machamp_lite.inference import predictor
from machamp_lite.model.serialization import load_model

pytestmark = pytest.mark.slow

SCRIPT = """
import resource, sys
from machamp_lite.cli import main as cli
from machamp_lite.inference import predictor
predictor.CHUNK = 256
assert cli.predict([sys.argv[1], sys.argv[2], sys.argv[3], "--dataset", "UD", "--device", "-1"]) == 0
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
# Sentences of the shorter file: several chunks of it, so that what one chunk takes is in both.
SENTENCES = 1500
FEW_KILOBYTES = 8000


def peak(model: Path, sentences: int, folder: Path) -> int:
    """The most memory, in kilobytes, of a process that predicts a file of so many sentences."""
    (folder / "in").write_text(TREEBANK * (sentences // 3), encoding="utf-8")
    command = [sys.executable, "-c", SCRIPT, str(model), str(folder / "in"), str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return int(done.stdout.rpartition("peak ")[2])


def test_four_times_the_sentences_take_no_more_memory(many_tasks: Path, tmp_path: Path) -> None:
    few, many = (peak(many_tasks / "run", number, tmp_path) for number in (SENTENCES, 4 * SENTENCES))
    assert many - few < FEW_KILOBYTES


def test_output_is_written_as_it_goes(
    many_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "CHUNK", 30)
    (tmp_path / "in").write_text(TREEBANK * 200, encoding="utf-8")
    sizes = []
    rank = predictor.rank_labels

    def seen(*arguments: object, **options: object) -> object:
        sizes.append(max(path.stat().st_size for path in tmp_path.iterdir() if path.name.startswith(".out")))
        return rank(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(predictor, "rank_labels", seen)
    predictor.predict_file(load_model(many_tasks / "run"), tmp_path / "in", tmp_path / "out", dataset="UD")
    assert len(sizes) == 20
    assert sizes == sorted(sizes) and sizes[10] > sizes[0], "nothing waits for the end"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
