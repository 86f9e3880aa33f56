"""Measures training, prediction, memory and reading against what they could be at best, in one run.

Each section is measured turn by turn with what it is held against; a figure is the median over rounds.
docs/developing/performance.md says what each of them means.

    python scripts/benchmark.py --dataset_configs FOUR_TASKS.json --json speed.json --markdown speed.md --plot speed.svg
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import loading, memory, plot, report, scaling, share, speed, startup
from benchmarks.figures import Figure, NotMeasuredError
from benchmarks.subject import Subject

from machamp_lite.errors import ConfigError, MachampError, did_you_mean
from machamp_lite.files.atomic import replacing_file, write_json

SECTIONS: Mapping[str, Callable[[Subject], list[Figure]]] = {
    "training": speed.training,
    "base": speed.base_shape,
    "prediction": speed.prediction,
    "tasks": scaling.tasks,
    "epoch": scaling.epoch,
    "share": share.share,
    "memory": memory.memory,
    "reading": loading.reading,
    "startup": startup.startup,
}
# The 1-minute load for each core above which another process has a core of its own.
HIGHEST_LOAD = 0.5


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--dataset_configs", nargs="+", default=["configs/treebank.json"], metavar="FILE")
    parser.add_argument("--parameters_config", metavar="FILE")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    names = ", ".join(SECTIONS)
    parser.add_argument("--only", metavar="A,B", help=f"sections to measure (default: all), of {names}")
    parser.add_argument(
        "--without", metavar="A,B", help="sections to leave out; 'base' is the one that takes longest"
    )
    for flag, default, what in (
        ("--repeats", 5, "rounds that count"),
        ("--sentences", 600, "sentences of each dataset; fewer where a section is slow"),
        ("--words", 1_000_000, "words to read"),
    ):
        parser.add_argument(flag, type=int, default=default, metavar="N", help=f"{what} (default: {default})")
    parser.add_argument("--busy", action="store_true", help="measure although the machine has other work")
    parser.add_argument("--json", metavar="FILE", help="where to write all figures")
    parser.add_argument("--markdown", metavar="FILE", help="where to write the table that is printed")
    parser.add_argument("--plot", metavar="FILE", help="where to draw the ratios, as SVG")
    return parser


def chosen_sections(only: str | None, without: str | None) -> list[str]:
    """The names of the sections to measure, in their order; raises ``ConfigError`` for others."""
    asked, left_out = (_names(flag, text) for flag, text in (("--only", only), ("--without", without)))
    return [name for name in SECTIONS if (not asked or name in asked) and name not in left_out]


def _names(flag: str, text: str | None) -> list[str]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    faults = [
        f"{flag}: found '{name}', expected sections by name{did_you_mean(name, SECTIONS)}"
        for name in names
        if name not in SECTIONS
    ]
    if faults:
        raise ConfigError(faults)
    return names


def check_load(load: float, *, cores: int) -> None:
    """Raises ``MachampError`` on a machine that has other work."""
    argmax = HIGHEST_LOAD * cores
    if load > argmax:
        raise MachampError(
            f"the load of this machine is {load:.1f}, expected at most {argmax:.1f} for {cores} cores; wait, or "
            "measure all the same with --busy"
        )


def measure(subject: Subject, sections: Sequence[str]) -> tuple[list[Figure], list[str]]:
    """The figures of some sections, and why others have none."""
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
        sections = chosen_sections(flags.only, flags.without)
        if not flags.busy:
            check_load(load, cores=os.cpu_count() or 1)
        subject = Subject(
            flags.dataset_configs,
            flags.parameters_config,
            flags.overrides,
            sentences=flags.sentences,
            words=flags.words,
            repeats=flags.repeats,
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
    title = f"{lines['encoder']}, {lines['precision']}, {lines['machine']}"
    drawing = plot.plot(figures, title=title) if flags.plot else ""
    for path, content in ((flags.markdown, text), (flags.plot, drawing)):
        if path:
            with replacing_file(path) as file:
                file.write(content)
    return 0


if __name__ == "__main__":
    # What is noticed of the data would be said in every section again.
    logging.getLogger("machamp_lite").setLevel(logging.ERROR)
    sys.exit(main())
