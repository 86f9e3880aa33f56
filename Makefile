# Two commands: `make demo` trains and predicts on the sample data, `make test` checks the code.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean
demo: .venv/installed
	$(BIN)/python scripts/demo.py

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv logs/demo
