# make demo | test | check | bench | trt-check | gpu-check | camera-check | clean. Everything happens in .venv, made from nothing.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
TORCH  := 2.13.0
# the clip of `make demo`; empty: a sample is fetched
CLIP   ?=
# the clips of `make bench`; empty: what needs clips is left out. MASKS: folders with images/ and masks/
CLIPS  ?=
MASKS  ?=

.PHONY: demo test check format bench trt-check gpu-check camera-check clean
.DEFAULT_GOAL := test

# torch first, and its CPU build: what an index serves for Linux by default brings gigabytes of CUDA. Tried in order:
# the configured index or folder, PyTorch's own index, and (macOS, Windows: that is the CPU build) the plain version.
# torchvision without its requirements, which are CUDA's, and LiteRT (60 MB): where one cannot be had, its tests skip.
$(VENV)/ready: setup.py constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "torch==$(TORCH)+cpu" -c constraints.txt 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet "torch==$(TORCH)+cpu" --extra-index-url https://download.pytorch.org/whl/cpu -c constraints.txt 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet "torch==$(TORCH)" -c constraints.txt
	$(BIN)/python -m pip install --quiet -e ".[dev]" -c constraints.txt
	-$(BIN)/python -m pip install --quiet --no-deps torchvision -c constraints.txt
	-$(BIN)/python -m pip install --quiet -e ".[bench]" -c constraints.txt
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

# An environment on top of the ordinary one, with what is too large for it: TensorRT-RTX (230 MB) and NVIDIA's compiler.
GPU_VENV   ?= .venv-gpu
GPU_PYTHON ?= $(firstword $(wildcard $(GPU_VENV)/bin/python $(BIN)/python) $(PYTHON))
SITE       := import sysconfig; print(sysconfig.get_path("purelib"))

$(GPU_VENV)/ready: $(VENV)/ready
	$(PYTHON) -m venv $(GPU_VENV)
	$(BIN)/python -c '$(SITE)' > "$$($(GPU_VENV)/bin/python -c '$(SITE)')/ordinary.pth"
	$(GPU_VENV)/bin/python -m pip install --quiet -c constraints.txt \
	  "numba-cuda[cu13]==0.30.4" cuda-python==13.0.3 tensorrt-rtx-cu13==1.7.1.116
	touch $@

# without a GPU: our graphs through TensorRT-RTX, our kernels through NVIDIA's compiler and Numba's simulator
trt-check: $(GPU_VENV)/ready
	$(GPU_VENV)/bin/python -m pytest -rs tests/gpu

# on a machine with a GPU, with whatever is installed in GPU_PYTHON; under 8 minutes, needs no network. What passes is
# recorded on this machine, and `--backend auto` may choose it from then on
gpu-check:
	$(GPU_PYTHON) -m benchmarks.gpu.check

# as root on a machine with the kernel modules vivid (a webcam that can be unplugged by a command) and v4l2loopback
camera-check: $(VENV)/ready
	$(BIN)/python -m benchmarks.camera_check

clean:
	rm -rf $(VENV) $(GPU_VENV) build dist demo bench *.egg-info
