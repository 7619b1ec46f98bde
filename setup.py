"""The distribution jit-masker. Exact versions that were tried together stand in constraints.txt."""

import re
from pathlib import Path

from setuptools import setup

here = Path(__file__).parent
version = re.search(r'__version__ = "(.+?)"', (here / "engine/__init__.py").read_text(encoding="utf-8"))

LEARN = ["torch>=2.6"]  # never a plain requirement: on Linux the index serves a build of several gigabytes with CUDA
GPU = ["numba-cuda[cu13]>=0.20", "cuda-python>=13"]  # kernels, memory and streams; CUDA 13 drivers: 580 and newer
TRT = ["tensorrt-rtx-cu13>=1.7"]  # for desktop cards; server cards take `tensorrt`, which has builds of its own
MRCNN = [*LEARN, "torchvision>=0.21"]  # the one made for the torch that is installed; detectron2: docs/teachers.md
SERVE = [*LEARN, "starlette>=0.40", "uvicorn>=0.30", "prometheus-client>=0.20"]
RAY = [*SERVE, "ray[serve]>=2.40"]
VIRTUALCAM = ["pyvirtualcam>=0.11"]  # GPL-2.0
PANEL = ["starlette>=0.40", "uvicorn>=0.30"]
PROFILE = ["keyring>=25", "cryptography>=42"]  # kept frames encrypted with a key in the system's key store
BENCH = ["ai-edge-litert>=2.3"]  # what MediaPipe's networks run on; 60 MB, for two peers of jm-bench
BROWSER = ["playwright>=1.50"]  # for the panel's tests, with a Chromium of the system's
DEV = [
    "pytest>=8",
    "hypothesis>=6",
    "ruff>=0.9",
    "mypy>=1.11",
    "psutil>=5.9",
    "matplotlib>=3.8",
    "pillow>=10",
    "setuptools>=70",
    "tritonclient[http]>=2.50",
]

setup(
    name="jit-masker",
    version=version.group(1),
    description="A virtual background that learns your room while you talk: JIT-Masker (arXiv 2006.06185) and beyond",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # listed, not found: find_packages would ship tests/ and whatever lies around under a generic name
    packages=[
        "benchmarks",
        "benchmarks.gpu",
        "benchmarks.harness",
        "benchmarks.peers",
        "engine",
        "engine.assets",
        "engine.backends",
        "engine.backgrounds",
        "engine.control",
        "engine.doctor",
        "engine.media",
        "engine.painting",
        "engine.panel",
        "engine.personal",
        "engine.rooms",
        "engine.sinks",
        "engine.sources",
        "export",
        "export.students",
        "kernels",
        "kernels.device",
        "kernels.fused",
        "training",
        "training.online",
        "training.remote",
        "training.remote.server",
        "training.students",
        "training.teachers",
    ],
    package_data={
        "benchmarks": ["*.html"],
        "benchmarks.harness": ["*.toml"],
        "engine": ["py.typed"],
        "engine.panel": ["page/*"],
        "export": ["py.typed", "weights/*.safetensors", "weights/README.md"],
    },
    install_requires=[
        "numpy>=1.26",
        "numba>=0.60",
        "onnx>=1.16",
        "onnxruntime>=1.18",
        "opencv-python-headless>=4.12",
        "av>=18",  # its conversions can be told to round
        "safetensors>=0.4",
        "pydantic>=2.6",
        "platformdirs>=4",
        "filelock>=3.13",
        "tqdm>=4.66",
    ],
    extras_require={
        "learn": LEARN,
        "gpu": GPU,
        "trt": TRT,
        "mrcnn": MRCNN,
        "serve": SERVE,
        "ray": RAY,
        "virtualcam": VIRTUALCAM,
        "panel": PANEL,
        "profile": PROFILE,
        "bench": BENCH,
        "browser": BROWSER,
        "dev": SERVE + PANEL + PROFILE + DEV,
    },
    entry_points={
        "console_scripts": [
            "jm-engine = engine.cli:program",
            "jm-teacher = training.remote.server.cli:main",
            "jm-train = training.pretrain:main",
            "jm-bench = benchmarks.cli:main",
        ]
    },
)
