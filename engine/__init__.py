"""The live engine. `from engine import Masker` loads neither torch nor cv2 nor onnxruntime nor numba."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.contracts import Published

    from .contracts import Frame, Mask, Picture
    from .errors import JitMaskerError
    from .masker import Masker

__version__ = "0.1.0"
__all__ = ["Frame", "JitMaskerError", "Mask", "Masker", "Picture", "Published", "__version__"]


def __getattr__(name: str) -> Any:
    """Load a name when it is asked for: `jm-engine` must heed signals before NumPy is imported, which takes a while."""
    if name not in __all__:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    from export.contracts import Published

    from .contracts import Frame, Mask, Picture
    from .errors import JitMaskerError
    from .masker import Masker

    for value in (Frame, JitMaskerError, Mask, Masker, Picture, Published):
        globals()[value.__name__] = value
    return globals()[name]
