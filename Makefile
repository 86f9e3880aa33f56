# `make demo` trains and predicts on the sample data, `make test` checks the code, `make test-all` also runs slow tests.
PYTHON ?= python3
# Installed first, so that pip does not choose the newest build, which may bring gigabytes of CUDA; for example:
# make test TORCH=torch==2.14.1
TORCH ?= torch==2.13.0
BIN := .venv/bin
# Tests run in two processes with one thread each: more threads do not make tiny models faster.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo lint gpu-test test test-all test-lowest faults fuzz schemas docs clean
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

# With the lowest versions of all packages that pyproject.toml allows.
test-lowest: .venv-lowest/installed
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n 2 --dist worksteal -m 'not slow'

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
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

.venv-lowest/installed: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) scripts/lowest_versions.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint .venv-lowest/constraints.txt --editable '.[dev]'
	touch $@

# The JSON Schemas of configs, after a change of options, defaults or docs/reference/configuration.md.
schemas: .venv/installed
	$(BIN)/python scripts/write_schemas.py

# The documentation as a site in site/.
docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf .venv .venv-lowest site logs/demo
