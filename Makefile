# make demo: sets up and runs the main job.   make test: sets up, then lint, types and tests.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-slow lint clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Mirada needs Python 3.11 or newer; {sys.executable} is {v.major}.{v.minor}. Try: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	@test -d demo/digits || $(BIN)/mirada sample digits demo/digits
	cd demo && ../$(BIN)/mirada train digits --model lenet5

test: $(READY) lint
	$(BIN)/pytest -m 'not slow'

test-slow: $(READY)
	$(BIN)/pytest -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv demo build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
