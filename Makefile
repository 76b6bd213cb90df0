# make help lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE :=  # or every process would compile torch anew, which takes seconds
SET    ?= sample
COMPUTE ?= local
A      ?= $(SET)-v5
B      ?= $(SET)-v6

.DEFAULT_GOAL := help
.PHONY: help install repro video test lint format versions tags compare show rats bench baseline lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: $(VENV)/.installed  ## .venv with the pinned packages

$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c requirements.lock -e '.[dev]'  # Python compiles what is imported
	@touch $@

repro: install  ## the pipeline on params.yaml, then the main figures
	dvc repro
	@python -m tools.summary

video: install  ## the video pipeline: TAEHV, preset `test`
	cd video && dvc repro
	cd video && dvc metrics show

# Three processes for two cores: tests wait for servers, queues and signals.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(6, os.cpu_count() * 3 // 2))')
test: install  ## the whole test suite, on up to four cores
	OMP_NUM_THREADS=1 python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: install  ## ruff, mypy, and which package may import which
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-logo --no-cache

format: install  ## rewrite the code in the house format
	ruff check --fix .
	ruff format .

versions: install  ## run V1-V6 on SET (sample), a commit for each, and docs/versions.md; COMPUTE=modal: all at once
	python -m tools.versions run --set $(SET) --compute $(COMPUTE)

tags: install  ## a local git tag per recorded version, for dvc params diff and dvc metrics diff
	python -m tools.versions tags

compare: install  ## parameters and metrics of two recorded versions: make compare A=sample-v5 B=sample-v6
	@python -m tools.versions tags $(A) $(B) > /dev/null
	dvc params diff $(A) $(B)
	dvc metrics diff $(A) $(B)

show: install  ## recorded versions and this commit's experiments, names and headline values
	@python -m tools.experiments show

rats: install  ## real recordings of 39 pairs of rats, from their public repository, for data=rats
	python -m tools.rats

bench: install  ## the seven benchmarks, one JSON line each, and the table of docs/performance.md (idle machine)
	dvc repro --quiet
	python -m benchmarks.train
	python -m benchmarks.epoch
	python -m benchmarks.prepare
	python -m benchmarks.score
	python -m benchmarks.noop
	python -m benchmarks.beside
	python -m benchmarks.video
	python -m tools.performance

baseline: install  ## gradient boosting on the store and labels as they stand
	python -m benchmarks.gradient_boosting

lock: $(VENV)/.installed  ## write requirements.lock anew from pyproject.toml, all extras, by pip
	rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 -e '.[dev]'
	$(VENV)/lock/bin/python -m pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' > requirements.lock
	rm -rf $(VENV)/lock

clean:  ## remove the environment and unfinished runs
	rm -rf $(VENV) .runs video/.runs
