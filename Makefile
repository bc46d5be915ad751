# What people and CI call. Needs only python3 >= 3.11, make and the package index.
# `make help` lists the targets.

PYTHON ?= python3
ARGS ?=
VENV := .venv
TOOLS := .nox/tools
NOX := $(TOOLS)/bin/python -m nox --reuse-existing-virtualenvs

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-all explore docs-tables attach-soak lint bench bench-web soak fleet dist clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed ## the shop with probes in it, until Ctrl-C; ARGS=--check verifies and ends
	@$(VENV)/bin/python -m remora demo $(ARGS)

test: $(TOOLS)/.installed ## all tests on the oldest and the newest CPython found
	@$(NOX) --session test -- $(ARGS)

test-all: $(TOOLS)/.installed ## all tests on every supported CPython found
	@$(NOX) --session test-all -- $(ARGS)

explore: $(TOOLS)/.installed ## probes on all of other packages while their suites run
	@$(NOX) --session explore -- $(ARGS)

docs-tables: $(TOOLS)/.installed ## the tables in docs/ that tests make, on every CPython found
	@$(NOX) --session docs-tables

attach-soak: $(TOOLS)/.installed ## 200 attaches and detaches under load, on every CPython found; REMORA_SOAK_ATTACHES=20 is shorter
	@$(NOX) --session attach-soak -- $(ARGS)

lint: $(TOOLS)/.installed ## ruff, layers, pyright
	@$(NOX) --session lint

bench: $(TOOLS)/.installed ## the benchmarks
	@$(NOX) --session bench -- $(ARGS)

bench-web: $(TOOLS)/.installed ## what protection costs a web app, beside other agents
	@$(NOX) --session bench-web -- $(ARGS)

soak: $(TOOLS)/.installed ## ten minutes of probes coming and going; ARGS=--quick takes 40 s
	@$(NOX) --session soak -- $(ARGS)

fleet: $(TOOLS)/.installed ## what one server carries: 100 processes, 1,000 simulated agents
	@$(NOX) --session fleet -- $(ARGS)

dist: $(TOOLS)/.installed ## wheel and source distribution in dist/
	@rm -rf dist
	@$(TOOLS)/bin/python -m build --no-isolation

clean: ## remove what the other targets made
	rm -rf $(VENV) .nox dist

define make_venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "remora needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) -V 2>&1): install a newer one, or name it: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: on Debian and Ubuntu, 'apt install python3-venv', then run this again" >&2; exit 1; }
	@rm -rf $(1)
	@echo "making $(1) (once; takes a minute)"
	@$(PYTHON) -m venv $(1)
endef

$(VENV)/.installed: requirements/demo.txt pyproject.toml
	$(call make_venv,$(VENV))
	@$(VENV)/bin/pip install --quiet --require-hashes -r requirements/demo.txt
	@$(VENV)/bin/pip install --quiet --no-deps --editable .
	@touch $@

$(TOOLS)/.installed: requirements/build.txt
	$(call make_venv,$(TOOLS))
	@$(TOOLS)/bin/pip install --quiet --require-hashes -r requirements/build.txt
	@touch $@
