# `make help` lists the targets. Nothing but Python 3.11+, make and git is needed; all else goes into .venv.
PYTHON ?= python3
PYTHON38 ?= 3.8
EXPERIMENT ?= BaseTask
CORES ?= 1
WORKERS ?= 2

VENV := .venv
VENV38 := .venv-isaacgym
REPORT := results/$(EXPERIMENT)/report.html
PINS := --constraint requirements/compute.txt --constraint requirements/tools.txt
SOURCES := dexhand_env workflow tests $(wildcard scripts benchmarks requirements/lock.py train.py)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run install install-gpu install-dev isaacgym38 browser ssh-server test test-slow test-slurm test-isaacgym38 test-isaacgym check dag format bench plan lock clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-15s %s\n", $$1, $$2}'

run: install ## train, select, test and report BaseTask (EXPERIMENT=..., CORES=...)
	snakemake --cores $(CORES) $(REPORT)
	@echo "The report: $(CURDIR)/$(REPORT)"

install: $(VENV)/.installed ## create .venv with the pinned dependencies
install-gpu: $(VENV)/.installed-gpu ## the same, with physics on NVIDIA GPUs
install-dev: $(VENV)/.installed-dev ## the same, with what tests and checks need

# Scripts in .venv name its path, so one that came along with a renamed or copied checkout is made anew.
MADE_HERE := import os, sys; here = os.fsencode(os.path.abspath("$(VENV)")); text = open("$(VENV)/bin/pip", "rb").read()
MADE_HERE += ; sys.exit(all(mark + here not in text for mark in (b"!", b"\"")))
ifneq ($(wildcard $(VENV)/bin/pip),)
ELSEWHERE := $(shell $(VENV)/bin/python -c '$(MADE_HERE)' || echo yes)
endif
ifeq ($(ELSEWHERE),yes)
.PHONY: $(VENV)/bin/python $(VENV)/.installed $(VENV)/.installed-gpu $(VENV)/.installed-dev
endif

$(VENV)/bin/python:
	$(if $(ELSEWHERE),@echo "$(VENV) was made in another folder: installing again"; rm -rf $(VENV))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is too old; allowed: Python 3.11 or newer, e.g. make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml requirements/compute.txt requirements/tools.txt | $(VENV)/bin/python
	python -m pip install --disable-pip-version-check --quiet $(PINS) --editable .
	@touch $@

$(VENV)/.installed-gpu: pyproject.toml requirements/compute.txt requirements/tools.txt | $(VENV)/bin/python
	python -m pip install --disable-pip-version-check --quiet $(PINS) --editable '.[gpu]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml requirements/compute.txt requirements/tools.txt scripts/repair_isaacgym_stubs.py | $(VENV)/bin/python
	python -m pip install --disable-pip-version-check --quiet $(PINS) --editable '.[dev]'
	python scripts/repair_isaacgym_stubs.py
	@touch $@ $(VENV)/.installed

# What Isaac Gym needs beside isaacgym itself, which only NVIDIA's site has: docs/isaac_gym.md. pip cannot resolve it; uv
# finds a Python 3.8 or loads one.
isaacgym38: $(VENV38)/.installed ## create .venv-isaacgym, a Python 3.8 to train under Isaac Gym (PYTHON38=...)

$(VENV38)/.installed: requirements/isaacgym38.txt | $(VENV)/bin/python
	command -v uv >/dev/null || python -m pip install --disable-pip-version-check --quiet uv
	uv venv --quiet --allow-existing --python $(PYTHON38) $(VENV38)
	uv pip install --quiet --no-deps --python $(VENV38)/bin/python -r requirements/isaacgym38.txt
	@touch $@

# Browser tests skip themselves where there is none; on CI there has to be one.
browser:
	@if [ "$$CI" = true ] && ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	fi

# Tests that share results over ssh start a server of their own; on CI it has to be installed.
ssh-server:
	@if [ "$$CI" = true ] && [ ! -x /usr/sbin/sshd ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends openssh-server >/dev/null; \
	fi

test: install-dev browser ssh-server ## the tests, but for the slow ones (ARGS="-k name" for some)
	python -m pytest -n $(WORKERS) --dist loadgroup -m "not slow and not slurm and not isaacgym38 and not isaacgym" $(ARGS)

test-slow: install-dev browser ## the slow tests
	python -m pytest -m slow $(ARGS) || [ $$? -eq 5 ] # 5: there is none

test-slurm: install-dev ## the pipeline on a SLURM cluster of this one machine; needs root, apt-get installs SLURM
	python -m pip install --disable-pip-version-check --quiet $(PINS) --editable '.[slurm]'
	command -v slurmctld >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null; }
	python -m pytest -m slurm -s $(ARGS)

test-isaacgym38: install-dev isaacgym38 ## training on Python 3.8, Isaac Gym's, under the tests' stand-in for it
	uv pip install --quiet --no-deps --python $(VENV38)/bin/python -r tests/stand_in/requirements38.txt
	DEXHAND_TEST_PYTHON38=$(CURDIR)/$(VENV38)/bin/python python -m pytest -m isaacgym38 $(ARGS)

test-isaacgym: install-dev ## Isaac Gym itself, in the Python that DEXHAND_ISAACGYM_PYTHON names; writes isaac_gym_report.json
	@test -n "$$DEXHAND_ISAACGYM_PYTHON" || { echo "error: DEXHAND_ISAACGYM_PYTHON is not set; docs/isaac_gym.md" >&2; exit 2; }
	DEXHAND_TEST_ISAACGYM="$$DEXHAND_ISAACGYM_PYTHON" python -m pytest -p tests.real_machine.report \
	  -k "isaac_gym-cpu or isaac_gym-cuda or real_machine" tests/contract tests/real_machine $(ARGS)

check: install-dev ## format, lint, types, workflow
	ruff format --check $(SOURCES)
	ruff check $(SOURCES)
	mypy
	snakefmt --check Snakefile workflow
	python -m workflow.plan check
	snakemake --lint

format: install-dev ## put the sources into their format
	ruff check --fix $(SOURCES)
	ruff format $(SOURCES)
	snakefmt Snakefile workflow

bench: install-dev ## measure the speeds of docs/benchmarks.md
	python -m benchmarks $(ARGS)

dag: install ## draw the jobs of a report (EXPERIMENT=...) in dag.svg; those that are done are dashed
	snakemake --dag dot $(REPORT) | python -m workflow.draw dag.svg

plan: install ## rewrite dvc.yaml from workflow/stages.yaml and configs/experiments.yaml
	python -m workflow.plan

lock: ## pin what a clean install of pyproject.toml gives into requirements/
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --disable-pip-version-check --quiet '.[dev,slurm]'
	$(VENV)-lock/bin/python requirements/lock.py
	rm -rf $(VENV)-lock

clean: ## remove results, runs and what the tools left; DVC's cache and .venv stay
	find results -mindepth 1 ! -name README.md -delete
	rm -rf runs logs .stage .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis build

distclean: clean ## remove DVC's cache and .venv too
	rm -rf .dvc/cache .dvc/tmp $(VENV) $(VENV)-lock $(VENV38) *.egg-info
