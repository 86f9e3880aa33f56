"""The figures as JSON and as a Markdown table, with the facts about the measurement."""

import os
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.figures import Figure
from machamp_lite.config import Config
from machamp_lite.model.precision import resolved

CPU_INFO = Path("/proc/cpuinfo")


def header(
    config: Config, *, arguments: Sequence[str], load: float, notes: Sequence[str] = ()
) -> dict[str, str]:
    """The facts about the measurement, by name."""
    params = config.params
    data = [f"{name} ({dataset.train_data_path})" for name, dataset in config.datasets.items()]
    lines = {
        "date": date.today().isoformat(),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "load before": f"{load:.1f}",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}",
        "precision": resolved(params.training.precision, torch.device("cpu")),
        "encoder": params.transformer_model,
        "data": ", ".join(data),
        "tasks": ", ".join(f"{name} ({task.task_type})" for name, task in config.tasks().items()),
        "command": shlex.join(["python", "scripts/benchmark.py", *arguments]),
    }
    return lines | ({"not measured": "; ".join(notes)} if notes else {})


def cpu_model() -> str:
    """The name of the processor, if the system gives it."""
    text = CPU_INFO.read_text(encoding="utf-8") if CPU_INFO.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def markdown(lines: Mapping[str, str], figures: Sequence[Figure]) -> str:
    """A list of the facts, and a table of the figures."""
    facts = [
        f"- {name}: `{value}`" if name == "command" else f"- {name}: {value}" for name, value in lines.items()
    ]
    rows = ["| what | measured | spread | target | reached | from |", "|---|---|---|---|---|---|"]
    rows += [f"| {' | '.join(_cells(figure))} |" for figure in figures]
    return "\n".join([*facts, "", *rows]) + "\n"


def _cells(figure: Figure) -> list[str]:
    low, high = min(figure.values), max(figure.values)
    sources = (f"{name} {value:,.{2 if value < 100 else 0}f}" for name, value in figure.sources.items())
    return [
        figure.what,
        _shown(figure, figure.measured),
        f"{_shown(figure, low)} to {_shown(figure, high)}" if len(figure.values) > 1 else "-",
        _target(figure),
        {True: "yes", False: "no", None: "-"}[figure.is_reached],
        "; ".join(sources) or "-",
    ]


def _shown(figure: Figure, value: float) -> str:
    return f"{value:.2f} s" if figure.unit == "s" else f"{value:.3f}"


def _target(figure: Figure) -> str:
    unit = " s" if figure.unit == "s" else ""
    if figure.at_least is not None:
        return f"at least {figure.at_least:.2f}{unit}"
    return "-" if figure.at_most is None else f"at most {figure.at_most:.2f}{unit}"


def as_json(lines: Mapping[str, str], figures: Sequence[Figure]) -> dict[str, Any]:
    """The facts and the figures."""
    return {**lines, "figures": {figure.name: figure.as_json() for figure in figures}}
