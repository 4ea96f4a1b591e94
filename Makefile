# make demo: sets up and runs the main job.   make test: sets up, then lint, types and tests.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# One worker a core, each computing on one thread, which small networks do fastest; tests that count threads set their own.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/pytest --numprocesses auto --dist loadfile
PARITY := parity/.env
SITE := build/site-env
NOTEBOOKS := build/notebooks-env
CHECK_PYTHON = @$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Mirada needs Python 3.11 or newer; {sys.executable} is {v.major}.{v.minor}. Try: make PYTHON=python3.11")'

# An environment of its own that also sees the packages of .venv: torch is installed, and lies on the disk, once.
PLACE := -c "import sysconfig; print(sysconfig.get_path('purelib'))"
define BESIDE
$(PYTHON) -m venv $(1)
@echo "import site; site.addsitedir('$$($(BIN)/python $(PLACE))')" > "$$($(1)/bin/python $(PLACE))/beside.pth"
endef

.PHONY: demo test test-slow parity site notebooks lint clean

$(READY): pyproject.toml constraints.txt
	$(CHECK_PYTHON)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	@test -d demo/digits || $(BIN)/mirada sample digits demo/digits
	@run=demo/runs/digits-lenet5; number=1; \
	while [ -e "$$run" ]; do number=$$((number + 1)); run=demo/runs/digits-lenet5-$$number; done; \
	$(BIN)/mirada train demo/digits --model lenet5 --output "$$run"  # printed as seen from here

test: $(READY) lint
	$(PYTEST) -m 'not slow'

test-slow: $(READY)
	$(PYTEST) -m slow

$(PARITY)/.ready: $(READY) parity/constraints.txt
	$(call BESIDE,$(PARITY))
	$(PARITY)/bin/python -m pip install --quiet --constraint parity/constraints.txt pyyaml matplotlib opencv-python-headless tqdm ttach
	$(PARITY)/bin/python -m pip install --quiet --no-deps --constraint parity/constraints.txt torchvision timm captum torchcam grad-cam
	@touch $@

# Every network that torchvision or timm has too, against theirs on random weights: outputs and gradients.
# And every method of explanation that captum, torchcam or grad-cam has by the same formula.
parity: $(PARITY)/.ready
	$(PARITY)/bin/python -m pytest --confcutdir parity parity

# The pages as a site in build/site, by an environment of its own.
$(SITE)/.ready: docs/site-constraints.txt
	$(CHECK_PYTHON)
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet --constraint docs/site-constraints.txt sphinx myst-parser furo
	@touch $@

site: $(SITE)/.ready
	$(SITE)/bin/python -m sphinx -q --fail-on-warning --builder html docs build/site

# The guide's notebooks, executed from their first cell to their last, beside Jupyter's kernel.
$(NOTEBOOKS)/.ready: $(READY) docs/notebooks-constraints.txt
	$(call BESIDE,$(NOTEBOOKS))
	$(NOTEBOOKS)/bin/python -m pip install --quiet --constraint constraints.txt --constraint docs/notebooks-constraints.txt nbclient ipykernel
	@touch $@

notebooks: $(NOTEBOOKS)/.ready
	rm -rf build/notebooks && mkdir -p build/notebooks && cp docs/notebooks/*.ipynb build/notebooks
	cd build/notebooks && ../../$(NOTEBOOKS)/bin/jupyter-execute --inplace *.ipynb

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv $(PARITY) demo build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
