# SwinIR from scratch: `make help` lists what can be made.
# Another Python: make PYTHON=python3.12 ...; another environment: make VENV=/path ...
# The newest versions of all dependencies: make CONSTRAINTS= ...

PYTHON ?= python3
VENV ?= .venv
PYTHONS := 3.11 3.12 3.13 3.14
version := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS ?= constraints/$(version).txt
CHAPTERS ?= $(sort $(wildcard chapters/[0-9A][0-9]_*.ipynb))

run := $(VENV)/bin/python -m
install := $(run) pip install -q --disable-pip-version-check
installed := $(VENV)/.installed
site := _build/html/index.html
from_npm := node_modules/.package-lock.json
demonstration := _build/try/models.json
pdf := _build/swinir-from-scratch.pdf
sources := $(CHAPTERS) $(wildcard *.md chapters/images/* chapters/data/*) \
	_config.yml _toc.yml references.bib \
	$(wildcard _static/* _static/*/* chapters/*.py) swinir_lite/drawing.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book test lint unit fuzz notebooks lab pdf chapters front-page \
	bench kernels wheel lowest constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

book: $(site) ## build the site and say where it is
	@echo "The book is at file://$(CURDIR)/$(site)"

test: lint book unit notebooks ## run everything: ruff, the site, unit tests, every chapter
	@$(VENV)/bin/python chapters/browser.py

pdf: $(site) ## print the whole book, by Chromium
	$(VENV)/bin/python chapters/printing.py $(pdf)

lab: $(installed) ## open the chapters in JupyterLab
	$(run) jupyterlab chapters

lint: $(installed) ## check the style of code and chapters
	$(run) ruff check .
	$(run) ruff format --check .

unit: $(site) ## run the unit tests, those of the built site among them
	OMP_NUM_THREADS=1 $(run) pytest -n 2 --dist worksteal tests

fuzz: $(installed) ## read files that were damaged in every way we know, thousands of them
	FUZZ=all OMP_NUM_THREADS=1 $(run) pytest tests/fuzz

notebooks: $(installed) ## execute every chapter and compare its outputs with the committed ones
	OMP_NUM_THREADS=1 $(run) pytest -n 2 --dist loadfile \
		--nbval --nbval-cell-timeout=300 $(CHAPTERS)

chapters: $(installed) ## execute chapters anew, in place
	$(VENV)/bin/python chapters/execute.py $(CHAPTERS)

front-page: $(installed) ## write again what pages share: figures, chapters' heads, tables
	$(VENV)/bin/python chapters/images/architecture.py
	$(VENV)/bin/python chapters/heads.py
	$(VENV)/bin/python chapters/images/before_after.py
	$(VENV)/bin/python chapters/images/social.py
	$(VENV)/bin/python chapters/contents.py

bench: $(installed) ## measure the speed on this CPU; OFFICIAL=path/network_swinir.py to compare
	@mkdir -p runs
	$(run) benchmarks.speed --output runs/bench.json $(if $(OFFICIAL),--official $(OFFICIAL))
	$(run) benchmarks.tables runs/bench.json

kernels: $(installed) ## compile the kernels for every GPU, and note the shared memory they take
	OMP_NUM_THREADS=1 $(run) benchmarks.kernels

wheel: $(installed) ## build the package and try it in an environment of its own
	rm -rf dist _build/wheel
	$(run) build -q
	$(PYTHON) -m venv _build/wheel
	_build/wheel/bin/pip install -q $(addprefix -c ,$(CONSTRAINTS)) dist/*.whl
	cd _build && wheel/bin/swinir-lite --version && \
		wheel/bin/python -m swinir_lite restore --help > /dev/null && \
		wheel/bin/python -W error -c "import swinir_lite; swinir_lite.load_model('lightweight_x2')"

# tests of the repository, which need the book's packages
of_the_project := $(addprefix tests/test_,packaging.py project.py rooms.py)

lowest: ## test the package with the lowest versions that it allows
	$(PYTHON) -m venv _build/lowest
	_build/lowest/bin/pip install -q -c constraints/lowest.txt -e ".[book,heic,train]" \
		hypothesis pytest pytest-xdist
	OMP_NUM_THREADS=1 _build/lowest/bin/pytest -n 2 tests/measuring tests/restoring \
		tests/training $(filter-out $(of_the_project),$(wildcard tests/test_*.py))

# Without what differs between PyTorch's builds for CPUs and for CUDA
constraints: ## resolve the versions to install anew, for every Python; needs uv
	for version in $(PYTHONS); do \
		uv pip compile -q --no-header --no-annotate --python-version $$version \
			requirements.txt | sed -e 's/+cpu//' -e '/^\(cuda\|nvidia\|triton\)/d' \
			> constraints/$$version.txt || exit; \
	done
	uv pip compile -q --no-header --no-annotate --python-version $(firstword $(PYTHONS)) \
		--resolution lowest-direct pyproject.toml \
		--extra book --extra export --extra heic --extra train \
		| sed -e '/^\(nvidia\|triton\)/d' > constraints/lowest.txt

clean: ## remove the built site
	rm -rf _build dist

$(from_npm): $(installed) package-lock.json
	$(VENV)/bin/npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

# networks that run on a page: exported again only when they, or how, have changed
$(demonstration): $(installed) $(from_npm) chapters/demonstration.py \
		swinir_lite/speed/export.py swinir_lite/speed/onnx_graph.py \
		swinir_lite/weights/manifest.json
	OMP_NUM_THREADS=1 $(VENV)/bin/python chapters/demonstration.py $(@D)

$(site): $(installed) $(from_npm) $(demonstration) $(sources)
	$(VENV)/bin/jupyter-book build . -W -q --keep-going
	@touch $@

$(installed): requirements.txt pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(install) -r requirements.txt $(addprefix -c ,$(CONSTRAINTS))
	$(install) --no-deps -e .
	@touch $@

constraints/$(version).txt:
	@echo "Python 3.11 to 3.14 is needed, $(PYTHON) is $(version):" \
		"make PYTHON=python3.13 ..." && exit 1
