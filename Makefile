PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --durations=10


.PHONY: demo test check slow fuzz

$(VENV)/ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'Python 3.11 or newer is needed: make PYTHON=python3.11 ...')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/ready
	rm -rf runs/demo
	$(BIN)/anew example digits runs/demo/digits-data
	$(BIN)/anew look runs/demo/digits-data
	$(BIN)/anew train runs/demo/digits-data --run runs/demo/digits --budget 60s
	$(BIN)/anew example prose runs/demo/prose-data
	$(BIN)/anew look runs/demo/prose-data
	$(BIN)/anew train runs/demo/prose-data --run runs/demo/prose --budget 60s
	@echo; echo "New prose, as the model wrote it:"; echo; head -c 1200 runs/demo/prose/samples/final.txt; echo
	@echo; echo "New digits: runs/demo/digits/samples/final.png"
	@echo "Reports:    runs/demo/digits/report/report.html and runs/demo/prose/report/report.html"

# `make test ROOM=data` or `make test-data`: the tests of one room alone.
ifdef ROOM
test: $(VENV)/ready
	$(PYTEST) -m "not slow" $(or $(wildcard tests/$(ROOM) tests/test_$(ROOM).py),$(error there is no tests/$(ROOM)))
else
test: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -m "not slow"
endif

test-%:
	$(MAKE) test ROOM=$*

check: test

slow: $(VENV)/ready
	$(PYTEST)

fuzz: $(VENV)/ready
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(or $(SECONDS),600)
