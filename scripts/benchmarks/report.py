"""The benchmark's figures as JSON and Markdown, under what they were measured on."""

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
    """What was measured, where and with what."""
    params = config.params
    data = [f"{name} ({dataset.train_data_path})" for name, dataset in config.datasets.items()]
    versions = {
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    lines = {
        "date": date.today().isoformat(),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "load before": f"{load:.1f}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "precision": resolved(params.training.precision, torch.device("cpu")),
        "encoder": params.transformer_model,
        "data": ", ".join(data),
        "tasks": ", ".join(f"{name} ({task.task_type})" for name, task in config.tasks().items()),
        "command": shlex.join(["python", "scripts/benchmark.py", *arguments]),
    }
    return lines | ({"not measured": "; ".join(notes)} if notes else {})


def cpu_model() -> str:
    """The name of the processor, as far as the system says it."""
    text = CPU_INFO.read_text(encoding="utf-8") if CPU_INFO.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def markdown(lines: Mapping[str, str], figures: Sequence[Figure]) -> str:
    """A list of what was measured on, and a table of the figures."""
    rows = ["| what | measured | spread | target | reached | from |", "|---|---|---|---|---|---|"]
    rows += [f"| {' | '.join(_cells(figure))} |" for figure in figures]
    facts = [
        f"- {name}: `{value}`" if name == "command" else f"- {name}: {value}" for name, value in lines.items()
    ]
    return "\n".join([*facts, "", *rows]) + "\n"


def _cells(figure: Figure) -> list[str]:
    spread = "-"
    if len(figure.values) > 1:
        spread = f"{shown(figure, min(figure.values))} to {shown(figure, max(figure.values))}"
    sources = "; ".join(
        f"{name} {value:,.{2 if value < 100 else 0}f}" for name, value in figure.sources.items()
    )
    return [
        figure.what,
        shown(figure, figure.measured),
        spread,
        target_of(figure),
        verdict(figure),
        sources or "-",
    ]


def shown(figure: Figure, value: float) -> str:
    """A value of a figure with its unit."""
    return f"{value:.2f} s" if figure.unit == "s" else f"{value:.3f}"


def target_of(figure: Figure) -> str:
    """The target of a figure in words."""
    if figure.target is None:
        return "-"
    return f"{figure.target.kind} {figure.target.value:.2f}{' s' if figure.unit == 's' else ''}"


def verdict(figure: Figure) -> str:
    """Whether the target is reached, in words."""
    return {True: "yes", False: "no", None: "-"}[figure.is_reached]


def as_json(lines: Mapping[str, str], figures: Sequence[Figure]) -> dict[str, Any]:
    """The same, for a file."""
    return {**lines, "figures": {figure.name: figure.as_json() for figure in figures}}
