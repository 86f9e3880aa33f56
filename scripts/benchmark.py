"""Measures training, prediction, memory and reading against the best possible values.

Each round of a section measures both sides of a ratio; a figure is the median over rounds.
docs/developing/performance.md explains the figures.

    python scripts/benchmark.py --dataset_configs FOUR_TASKS.json --json speed.json --markdown speed.md
    python scripts/benchmark.py acceleration --settings minilm_fp32,minilm_bf16 --repeats 15
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import acceleration, loading, memory, onnx_speed, processes, report, scaling, serving, speed
from benchmarks.figures import Figure, NotMeasuredError
from benchmarks.subject import Subject

from machamp_lite.errors import ConfigError, MachampError, did_you_mean
from machamp_lite.files.atomic import replacing_file, write_json

SECTIONS: Mapping[str, Callable[[Subject], list[Figure]]] = {
    "training": speed.training,
    "base": speed.base_shape,
    "prediction": speed.prediction,
    "latency": speed.latency,
    "tasks": scaling.tasks,
    "epoch": scaling.epoch,
    "share": speed.share,
    "memory": memory.memory,
    "reading": loading.reading,
    "startup": processes.startup,
    "onnx": onnx_speed.onnx,
    "serving": serving.serving,
    "acceleration": acceleration.acceleration,
}
# Sections that are measured only if they are named, because they take long.
ON_REQUEST = ("onnx", "serving", "acceleration")
# The 1-minute load per core above which another process is using a core.
HIGHEST_LOAD = 0.5


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--dataset_configs", nargs="+", default=["configs/treebank.json"], metavar="FILE")
    parser.add_argument("--parameters_config", metavar="FILE")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    names = ", ".join(SECTIONS)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {names} (default: all but {', '.join(ON_REQUEST)})"
    )
    parser.add_argument(
        "--without", metavar="A,B", help="sections to leave out; 'base' takes longest"
    )
    for flag, default, what in (
        ("--repeats", 5, "rounds"),
        ("--sentences", 600, "sentences of each dataset; slow sections use fewer"),
        ("--words", 1_000_000, "words to read"),
    ):
        parser.add_argument(flag, type=int, default=default, metavar="N", help=f"{what} (default: {default})")
    parser.add_argument("--settings", metavar="A,B", help="of acceleration: of " + ", ".join(acceleration.SETTINGS))
    parser.add_argument("--busy", action="store_true", help="measure even if the machine has other work")
    parser.add_argument("--json", metavar="FILE", help="where to write all figures")
    parser.add_argument("--markdown", metavar="FILE", help="where to write the table that is printed")
    return parser


def chosen_sections(named: Sequence[str], without: Sequence[str] = ()) -> list[str]:
    """The names of the sections to measure, in their order; raises ``ConfigError`` for unknown ones."""
    faults = [
        f"found '{name}', expected sections by name{did_you_mean(name, SECTIONS)}"
        for name in (*named, *without)
        if name not in SECTIONS
    ]
    if faults:
        raise ConfigError(faults)
    chosen = named or [name for name in SECTIONS if name not in ON_REQUEST]
    return [name for name in SECTIONS if name in chosen and name not in without]


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def check_load(load: float, *, cores: int) -> None:
    """Raises ``MachampError`` on a machine that has other work."""
    highest = HIGHEST_LOAD * cores
    if load > highest:
        raise MachampError(
            f"the load of this machine is {load:.1f}, expected at most {highest:.1f} for {cores} cores; wait, or "
            "measure anyway with --busy"
        )


def measure(subject: Subject, sections: Sequence[str]) -> tuple[list[Figure], list[str]]:
    """The figures of some sections, and a note for each section that cannot be measured."""
    figures, notes = [], []
    for name in sections:
        start = time.perf_counter()
        try:
            figures += SECTIONS[name](subject)
        except NotMeasuredError as error:
            notes.append(f"{name}: {error}")
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return figures, notes


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures one config and prints a table; returns the exit code."""
    flags = _parser().parse_args(arguments)
    load = os.getloadavg()[0]
    try:
        sections = chosen_sections(flags.sections, _names(flags.without))
        if not flags.busy:
            check_load(load, cores=os.cpu_count() or 1)
        subject = Subject(
            flags.dataset_configs,
            flags.parameters_config,
            flags.overrides,
            sentences=flags.sentences,
            words=flags.words,
            repeats=flags.repeats,
            settings=_names(flags.settings),
        )
        config = subject.config()
        figures, notes = measure(subject, sections)
    except MachampError as error:
        print("\n".join(error.faults), file=sys.stderr)
        return 1
    lines = report.header(
        config, arguments=sys.argv[1:] if arguments is None else arguments, load=load, notes=notes
    )
    text = report.markdown(lines, figures)
    print(text, end="")
    if flags.json:
        write_json(flags.json, report.as_json(lines, figures))
    if flags.markdown:
        with replacing_file(flags.markdown) as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    # Every section would repeat the warnings about the data.
    logging.getLogger("machamp_lite").setLevel(logging.ERROR)
    sys.exit(main())
