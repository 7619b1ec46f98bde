# make demo | test | check | bench | clean. Everything happens in .venv, made from nothing.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
TORCH  := 2.13.0
# the clip of `make demo`; empty: a sample is fetched
CLIP   ?=
# the clips of `make bench`; empty: what needs clips is left out. MASKS: folders with images/ and masks/
CLIPS  ?=
MASKS  ?=

.PHONY: demo test check format bench clean
.DEFAULT_GOAL := test

# torch first, and its CPU build: what an index serves for Linux by default brings gigabytes of CUDA. Tried in order:
# the configured index or folder, PyTorch's own index, and (macOS, Windows: that is the CPU build) the plain version.
# torchvision last and without its requirements, which are CUDA's; where it cannot be had, its tests are skipped.
$(VENV)/ready: setup.py constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "torch==$(TORCH)+cpu" -c constraints.txt 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet "torch==$(TORCH)+cpu" --extra-index-url https://download.pytorch.org/whl/cpu -c constraints.txt 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet "torch==$(TORCH)" -c constraints.txt
	$(BIN)/python -m pip install --quiet -e ".[dev]" -c constraints.txt
	-$(BIN)/python -m pip install --quiet --no-deps torchvision -c constraints.txt
	touch $@

demo: $(VENV)/ready
	$(BIN)/python -m benchmarks.demo $(CLIP)

test: $(VENV)/ready
	$(BIN)/python -m pytest

check: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

format: $(VENV)/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# the quick set, under 10 minutes; without --quick and on a quiet machine: docs/benchmarks.md
bench: $(VENV)/ready
	$(BIN)/jm-bench all --quick --out bench $(if $(CLIPS),--clips $(CLIPS)) $(if $(MASKS),--masks $(MASKS))

clean:
	rm -rf $(VENV) build dist demo bench *.egg-info
