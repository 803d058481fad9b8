# Two commands from a fresh machine: `make run` and `make test`. Needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
QUIETLY := --quiet --disable-pip-version-check --constraint constraints.txt
CONFIG ?= data/shop.yaml

export DAGSTER_HOME ?= $(CURDIR)/.dagster

.PHONY: run ui test bench lint format docs screenshots constraints clean

run: $(READY)  ## simulate a small messy shop if data/landing is empty, and run everything to its latest day
	@ls data/landing/* >/dev/null 2>&1 || $(BIN)/segmentation simulate
	@$(BIN)/segmentation run --config $(CONFIG)

ui: $(READY)  ## open the Dagster UI on http://127.0.0.1:3000
	@$(BIN)/segmentation ui --config $(CONFIG)

test: $(TOOLS)  ## run every test
	@$(BIN)/pytest -n auto

bench: $(TOOLS)  ## time the pipeline beside pandas and beside SQL by hand; options in BENCH, see docs/performance.md
	@$(BIN)/python segmentation_tests/benchmarks/bench.py $(BENCH)

lint: $(TOOLS)  ## style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(TOOLS)  ## mend what can be mended by machine
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(TOOLS)  ## write docs/configuration.md and docs/data-quality.md
	@$(BIN)/python docs/configuration.py
	@$(BIN)/python docs/data_quality.py

screenshots: $(TOOLS)  ## write docs/screenshots/ from what the browser tests see; needs Chromium
	@$(BIN)/pytest -n0 segmentation_tests/browser
	@$(BIN)/python docs/screenshots.py

constraints: $(TOOLS)  ## write the versions in use to constraints.txt
	@$(BIN)/pip freeze --exclude-editable | grep -v '^segmentation' > constraints.txt

clean:  ## remove what the commands above made; your data stays
	rm -rf $(VENV) .dagster data/lake data/reports data/online_retail

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (once, a minute or two)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install $(QUIETLY) --editable '.[postgres]'
	@touch $(READY)

$(TOOLS): $(READY)
	@echo "Adding what the tests and checks need (once, a minute or two)"
	@$(BIN)/python -m pip install $(QUIETLY) --editable '.[dev]'
	@touch $(TOOLS)
