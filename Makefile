# Every target sets up .venv from requirements.lock by itself: nothing has to be activated.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test test-real faults bench lint ui lock clean

help:
	@echo "make demo       sweep small recurrent networks on real digits (24 trials, two minutes)"
	@echo "make test       the quick tests"
	@echo "make test-real  the tests with real servers, a browser, killed processes, fresh installs"
	@echo "make faults     every fault, injected into real studies (workers and drivers killed, trials gone wrong)"
	@echo "make bench      our speed beside bare PyTorch's and the usual stack's (half an hour on two cores)"
	@echo "make lint       ruff, mypy --strict, import contracts"
	@echo "make ui         MLflow's UI on the store here"

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)
	$(BIN)/seqsweep sweep digits

test: $(READY)
	$(BIN)/python -m pytest -m "not real" --numprocesses auto --maxprocesses 4

test-real: $(READY)
	$(BIN)/python -m pytest -m real --durations 12

faults: $(READY)
	PYTHONPATH=tests $(BIN)/python -m faults

# make bench BENCH="--only single logging --repeats 3", --quick for a smoke run, --device cuda
bench: $(READY)
	PYTHONPATH=benchmarks $(BIN)/python -m speed $(BENCH)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(READY)
	$(BIN)/seqsweep ui

# Versions that pip finds today for pyproject.toml. torch comes first and exact: an open range would
# pull the newest CUDA build.
TORCH := torch==2.13.0
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet $(TORCH)
	build/lock/bin/python -m pip install --quiet $(TORCH) hatchling ".[dev]"
	( echo "# Exact versions for make demo, make test and CI; make lock writes it anew."; \
	  build/lock/bin/python -m pip freeze --exclude seqsweep | sed "s/+cpu$$//" ) > requirements.lock

clean:
	rm -rf $(VENV) build dist
