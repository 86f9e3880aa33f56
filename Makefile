# `make demo` trains and predicts on the sample data, `make test` checks the code, `make test-all` also runs slow tests.
PYTHON ?= python3
BIN := .venv/bin
# Tests run in two processes with one thread each: more threads do not make tiny models faster.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo lint gpu-test test test-all faults fuzz schemas clean
demo: .venv/installed
	$(BIN)/python scripts/demo.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/mypy

# GPU tests run separately, because other tests fork, and first, so that the last line has the numbers of the main run.
gpu-test: lint
	$(BIN)/python -m pytest --quiet tests/test_gpu.py

test: gpu-test
	$(PYTEST) -m 'not slow'

test-all: gpu-test
	$(PYTEST)

# Kills and resumes each run of the test 20 times; for example: make faults KILLS=100
KILLS ?= 20
faults: .venv/installed
	KILLS=$(KILLS) $(BIN)/python -m pytest tests/faults/test_kills.py

# Searches longer for errors; for example: make fuzz FUZZ_EXAMPLES=100000
FUZZ_EXAMPLES ?= 2000
fuzz: .venv/installed
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/faults/test_fuzz.py tests/faults/test_counts.py

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# The JSON Schemas of configs, after a change of options, defaults or docs/reference/configuration.md.
schemas: .venv/installed
	$(BIN)/python scripts/write_schemas.py

clean:
	rm -rf .venv logs/demo
