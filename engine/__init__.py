"""The live engine. `from engine import Masker` loads neither torch nor cv2 nor onnxruntime nor numba."""

from export.contracts import Published

from .contracts import Frame, Mask, Picture
from .errors import JitMaskerError
from .masker import Masker

__version__ = "0.1.0"
__all__ = ["Frame", "JitMaskerError", "Mask", "Masker", "Picture", "Published", "__version__"]
