# Two commands are enough: `make demo` and `make test`. Both set up .venv when needed.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: demo test slow faults check format docs clean

demo: .venv/runtime.stamp
	$(BIN)/align demo demo

test: .venv/dev.stamp
	$(BIN)/python -m pytest -n auto

slow: .venv/dev.stamp
	$(BIN)/python -m pytest -m slow

faults: .venv/dev.stamp
	$(BIN)/python -m pytest tests/faults -m ""

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/runtime.stamp  ## write the commands' help into docs/cli.md
	$(BIN)/python -m retrieval.cli.document docs/cli.md

clean:
	rm -rf .venv demo *.egg-info

.venv/runtime.stamp: pyproject.toml constraints.txt
	@echo "Setting up .venv (once; some minutes) ..."
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) torch --editable .
	@touch $@

# Of clip-benchmark the tests need what imports torch and tqdm alone; it would bring torchvision and
# many more.
.venv/dev.stamp: .venv/runtime.stamp
	$(INSTALL) --editable '.[dev]'
	$(INSTALL) --no-deps clip-benchmark
	@touch $@
