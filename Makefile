# The verbs of this repository. Needs Python 3.11 or newer and make; everything else goes into .venv.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

export HOST PORT

.DEFAULT_GOAL := help
.PHONY: help run test lint messages bench

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 16

run: $(VENV)/run.stamp ## Prepare everything that is missing and serve on HOST and PORT
	@exec $(BIN)/python manage.py serve

test: $(VENV)/dev.stamp ## Run the whole suite, on SQLite and on PostgreSQL
	@$(BIN)/python -m tests.run $(ARGS)

lint: $(VENV)/dev.stamp ## Check style, types, imports, templates, migrations and translations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/djlint --lint --quiet templates
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python scripts/check_translations.py

messages: $(VENV)/dev.stamp ## Collect texts for translation and compile the catalogues
	@$(BIN)/python scripts/messages.py

bench: $(VENV)/dev.stamp ## Run all benchmarks, or one of them: ARGS="accuracy --quick"
	@$(BIN)/python -m bench $(ARGS)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo not installed)." >&2; \
		echo "With another one installed: make PYTHON=python3.12 run" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.txt constraints.txt | $(BIN)/python
	@echo "Installing what the product runs on …"
	@$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements.txt requirements-dev.txt constraints.txt | $(BIN)/python
	@echo "Installing what testing and checking take …"
	@$(PIP) install -r requirements-dev.txt
	@touch $@ $(VENV)/run.stamp
