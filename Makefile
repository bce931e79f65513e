# SwinIR from scratch: `make help` lists what can be made.
# Another Python: make PYTHON=python3.12 ...; another environment: make VENV=/path ...

PYTHON ?= python3
VENV ?= .venv
CHAPTERS ?= $(sort $(wildcard chapters/[0-9][0-9]_*.ipynb))

run := $(VENV)/bin/python -m
installed := $(VENV)/.installed
site := _build/html/index.html
sources := $(CHAPTERS) $(wildcard *.md chapters/images/*) \
	_config.yml _toc.yml references.bib $(wildcard _static/* chapters/*.py)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book test lint unit notebooks site lab chapters front-page bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

book: $(site) ## build the site and say where it is
	@echo "The book is at file://$(CURDIR)/$(site)"

test: lint book unit notebooks ## run everything: ruff, the site, unit tests, every chapter

lab: $(installed) ## open the chapters in JupyterLab
	$(run) jupyterlab chapters

lint: $(installed) ## check the style of code and chapters
	$(run) ruff check .
	$(run) ruff format --check .

unit: $(site) ## run the unit tests, those of the built site among them
	OMP_NUM_THREADS=1 $(run) pytest -n 2 tests --ignore tests/speed/test_kernels.py
	TRITON_INTERPRET=1 OMP_NUM_THREADS=1 $(run) pytest -n 2 tests/speed/test_kernels.py

notebooks: $(installed) ## execute every chapter and compare its outputs with the committed ones
	OMP_NUM_THREADS=1 $(run) pytest -n 2 --dist loadfile \
		--nbval --nbval-cell-timeout=300 $(CHAPTERS)

chapters: $(installed) ## execute chapters anew, in place, and note their run times
	$(VENV)/bin/python chapters/execute.py $(CHAPTERS)

front-page: $(installed) ## write again what pages share: figures, chapters' heads, tables
	$(VENV)/bin/python chapters/images/architecture.py
	$(VENV)/bin/python chapters/images/here.py
	$(VENV)/bin/python chapters/heads.py
	$(VENV)/bin/python chapters/images/before_after.py
	$(VENV)/bin/python chapters/contents.py

bench: $(installed) ## measure the speed on this CPU; OFFICIAL=path/network_swinir.py to compare
	@mkdir -p runs
	$(run) benchmarks.speed --output runs/bench.json $(if $(OFFICIAL),--official $(OFFICIAL))
	$(run) benchmarks.tables runs/bench.json

clean: ## remove the built site
	rm -rf _build

$(site): $(installed) $(sources)
	$(VENV)/bin/jupyter-book build . -W -q --keep-going
	@touch $@

$(installed): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
		"Python 3.10 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(run) pip install -q --disable-pip-version-check -r requirements.txt
	$(run) pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@
