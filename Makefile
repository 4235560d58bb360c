PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --durations=10
# Two workers of one thread each: small tests gain nothing from threads.
PARALLEL := OMP_NUM_THREADS=1 $(PYTEST) -n $(or $(JOBS),2) --dist loadfile --no-loadscope-reorder --max-worker-restart=0

# What one process compiled of the modules that it imports, hundreds of others need not.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test types suite check slow fuzz docs

# Modules are compiled when they are imported, which few are.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'Python 3.11 or newer is needed: make PYTHON=python3.11 ...')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.[dev]'
	touch $@

# Loops are compiled on one core while another one checks types.
$(VENV)/compiled: $(VENV)/ready $(wildcard src/anew/estimators/context_mixing/*.py)
	$(BIN)/python -m anew.estimators.context_mixing.compilation > /dev/null
	touch $@

# Less than four minutes: two data sets that are good within a minute or two.
demo: $(VENV)/compiled
	rm -rf runs/demo
	$(BIN)/anew example towns runs/demo/towns-data
	$(BIN)/anew train runs/demo/towns-data --run runs/demo/towns --budget 60s
	@echo; echo "New names of towns:"; head -n 24 runs/demo/towns/samples/final.txt | paste -sd, - | sed 's/,/, /g'; echo
	$(BIN)/anew example digits runs/demo/digits-data
	$(BIN)/anew train runs/demo/digits-data --run runs/demo/digits --budget 100s
	@echo; echo "Look at runs/demo/digits/samples/final.png, and at the reports in a browser."

# `make test TESTS=data` or `make test-data`: only the tests in tests/data.
ifdef TESTS
test: $(VENV)/compiled
	$(PYTEST) -m "not slow" $(or $(wildcard tests/$(TESTS) tests/test_$(TESTS).py),$(error there is no tests/$(TESTS)))
else
test: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory -j2 types suite
endif

types: $(VENV)/ready
	$(BIN)/mypy

suite: $(VENV)/compiled
	$(PARALLEL) -m "not slow"

test-%:
	$(MAKE) test TESTS=$*

check: test

slow: $(VENV)/compiled
	$(PYTEST)

fuzz: $(VENV)/ready
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(or $(SECONDS),600)

# The documentation, in site/; a warning is an error.
docs: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/python docs/make_site.py
