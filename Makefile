SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PORT ?= 8000
# Tests share the cores; a worker that has finished takes over tests of another.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
# What failed is run once more, alone: beside others a slow machine loses a frame now and then.
AGAIN := (echo "What failed, once more and alone:"; \
  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none)
# Node comes from PyPI, into the virtual environment.
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm

.DEFAULT_GOAL := help
.PHONY: help book serve pdf quick test lab bench notebooks questions style lint clean lock

help: ## show this list
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) \
	  | sed -E 's/^([a-z%-]+):.*## /  make \1\t/; s/%/NAME/' | expand -t 22

$(READY): requirements.lock pyproject.toml hatch_build.py
	@bash tools/setup.sh $(PYTHON) .venv requirements.lock
	@touch $@

book: $(READY) ## set up and build the book into _build/html (warnings and failing cells stop it)
	@$(BIN)/python -m companion.site.build

serve: book ## build, then serve the book at http://localhost:$(PORT)
	@$(BIN)/python -m companion.site.build --serve $(PORT)

pdf: book ## build, then print each chapter to _build/html/pdf (needs Chromium)
	@$(BIN)/python -m companion.site.pdf

quick: $(READY) ## check style and types, run the quick tests: no browser, no built book, no long training
	@$(BIN)/python -m companion.site.frontend
	@$(MAKE) --no-print-directory style
	@$(PYTEST) -m "not browser and not slow"

test: $(READY) ## run every check and test, the built book in a real browser included
	@bash tools/setup.sh --browser
	@$(MAKE) --no-print-directory style
	@$(BIN)/python -m companion.site.build
	@$(PYTEST) || $(AGAIN)

test-%: $(READY) ## run the tests with NAME in their name or path (make test-resnet)
	@$(BIN)/python -m companion.site.frontend
	@$(PYTEST) -k "$*"

questions: book ## write the book's questions for Moodle and as QTI 2.1 (into _build/html/questions)
	@$(BIN)/python -m companion.site.lms

style: $(READY) ## check style and types, change nothing
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@$(NPM) run --silent check

lab: $(READY) ## open the chapters in JupyterLab
	@$(BIN)/python -m companion.site.frontend
	@$(BIN)/python -m companion.site.notebooks
	@$(BIN)/jupyter lab --notebook-dir=book

bench: $(READY) ## measure: one JSON object a line, and the README's table from it
	@bash tools/setup.sh --browser
	@$(BIN)/python -m companion.site.build
	@$(BIN)/python -m benchmarks --readme

notebooks: $(READY) ## write the .ipynb beside each chapter (for Colab and Binder)
	@$(BIN)/python -m companion.site.notebooks

lint: $(READY) ## format the code and mend what can be mended, then check style and types
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .
	@$(NPM) run --silent format
	@$(MAKE) --no-print-directory style

lock: $(READY) ## write requirements.lock from what is installed
	@bash tools/setup.sh --lock

clean: ## remove everything that was built (keeps .venv)
	@rm -rf _build companion/widgets/static node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
