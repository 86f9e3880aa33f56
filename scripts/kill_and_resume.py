"""Kills a training run at random moments, resumes it each time, and compares the result with an uninterrupted run.

    python scripts/kill_and_resume.py --kills 20 --seed 1 -- --dataset_configs configs/intents.json --device -1

The arguments after -- are flags of train.py. The state is saved every second. Exits with 1 if the two runs differ.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ["--dataset_configs", "configs/intents.json", "--device", "-1", "--set", "training.num_epochs=2"]
TIMES = ("seconds", "words_per_second")


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Starts the train command; its output is appended to a file."""
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *arguments],
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env=environment,
        )


def result(run: Path) -> dict[str, Any]:
    """All files of a run, without its log and its times."""
    files: dict[str, Any] = {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and path.name != "log.txt"
    }
    metrics = json.loads(files["metrics.json"])
    files["metrics.json"] = [
        {key: value for key, value in epoch.items() if key not in TIMES} for epoch in metrics
    ]
    return files


def main() -> int:
    """Trains twice and reports whether the results are equal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="number of kills (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments (default: 0)")
    parser.add_argument("flags", nargs="*", help="flags of train.py, after --")
    options = parser.parse_args()
    flags = [*(options.flags or FLAGS), "--set", f"training.save_minutes={1 / 60}"]
    with tempfile.TemporaryDirectory() as folder:
        uninterrupted, killed, log = (Path(folder, name) for name in ("uninterrupted", "killed", "log"))
        begin = time.monotonic()
        if start([*flags, "--model_dir", str(uninterrupted)], log).wait():
            print(log.read_text(), file=sys.stderr)
            return 1
        seconds = time.monotonic() - begin
        expected = result(uninterrupted)
        print(f"seed {options.seed}: {seconds:.0f} s without a kill", flush=True)
        moments = random.Random(options.seed)
        kills, ended = 0, False
        while kills < options.kills or not ended:
            resumes = (killed / "state" / "state.safetensors").exists()
            again = ["--resume", str(killed), *(["--device", "-1"] if "-1" in flags else [])]
            process = start(again if resumes else [*flags, "--model_dir", str(killed), "--overwrite"], log)
            moment = moments.uniform(0.1, 0.9) * seconds
            try:
                code = process.wait(timeout=moment if kills < options.kills else None)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills, ended = kills + 1, False
                print(f"kill {kills} after {moment:.1f} s{' of the resumed run' if resumes else ''}", flush=True)
                continue
            found = result(killed) if code == 0 else {}
            differing = sorted(
                name for name in {**expected, **found} if found.get(name) != expected.get(name)
            )
            print(f"exit code {code} after {kills} kills; differing files: {', '.join(differing) or 'none'}")
            if differing:
                print("".join(log.read_text().splitlines(keepends=True)[-20:]), file=sys.stderr)
                return 1
            ended = True
    return 0


if __name__ == "__main__":
    sys.exit(main())
