"""Runs the notebooks in docs/notebooks and stores their outputs, without Jupyter: the code is plain Python."""

import ast
import base64
import contextlib
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "docs" / "notebooks"


def run_notebook(notebook: dict[str, Any]) -> None:
    """Runs all cells of a notebook in order, and replaces their outputs."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, start=1):
        cell["execution_count"] = number
        cell["outputs"] = _run_cell("".join(cell["source"]), namespace, number)


def _run_cell(source: str, namespace: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """The outputs of a cell: what it prints, and the value of its last expression."""
    tree, printed, value = ast.parse(source), io.StringIO(), None
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {number}", "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), namespace)
    outputs: list[dict[str, Any]] = []
    if text := printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(text)})
    if value is not None:
        result = {"data": _displayed(value), "metadata": {}, "output_type": "execute_result"}
        outputs.append({**result, "execution_count": number})
    return outputs


def _displayed(value: Any) -> dict[str, Any]:
    """A value by MIME type, as a notebook shows it."""
    shown: dict[str, Any] = {"text/plain": _lines(repr(value))}
    if html := getattr(value, "_repr_html_", str)():
        shown["text/html"] = _lines(html)
    if hasattr(value, "savefig"):
        image = io.BytesIO()
        value.savefig(image, format="png", dpi=72, bbox_inches="tight", metadata={"Software": None})
        shown["image/png"] = base64.b64encode(image.getvalue()).decode()
    return shown


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main(names: Sequence[str]) -> None:
    """Runs the notebooks with these names, or all."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        notebook = json.loads(path.read_text(encoding="utf-8"))
        # As Jupyter does.
        os.chdir(NOTEBOOKS)
        run_notebook(notebook)
        path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"written: {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
