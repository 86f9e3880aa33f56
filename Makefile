# `make demo` trains and predicts on the sample data, `make test` checks the code, `make fuzz` looks for more faults.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test faults fuzz clean
demo: .venv/installed
	$(BIN)/python scripts/demo.py

# What needs a GPU is run by itself and first, so that the last line counts the suite.
test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_gpu.py
	$(BIN)/python -m pytest

# Longer than what the tests have time for: the real command, killed and resumed.
faults: .venv/installed
	$(BIN)/python scripts/kill_and_resume.py --kills 20

# As long as one likes: make fuzz FUZZ_EXAMPLES=100000
FUZZ_EXAMPLES ?= 2000
fuzz: .venv/installed
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/faults/test_fuzz.py tests/faults/test_counts.py

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv logs/demo
