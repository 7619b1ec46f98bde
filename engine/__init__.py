"""The live engine. `from engine import Masker` loads neither torch nor cv2 nor onnxruntime nor numba.

What it offers to other programs stands in api.py, which is loaded with the first of its names: `jm-engine` must heed
signals before NumPy is imported, which takes a while.
"""

from typing import TYPE_CHECKING

from .media import bound_images
from .silence import keep_silent

if TYPE_CHECKING:
    from .api import *  # noqa: F403 (its __all__ says which names)

keep_silent()
bound_images()

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if not name[:1].isupper():  # a module of this package, or something of Python's
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    from . import api

    return getattr(api, name)
