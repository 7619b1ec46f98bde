"""The live engine. `from engine import Masker` loads neither torch nor cv2 nor onnxruntime nor numba."""

import os

from export.contracts import Published

from .contracts import Frame, Mask, Picture
from .errors import JitMaskerError
from .masker import Masker

# ONNX Runtime reports to its maker and keeps a device id, from its import on, unless this is set before it
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Frame", "JitMaskerError", "Mask", "Masker", "Picture", "Published", "__version__"]
