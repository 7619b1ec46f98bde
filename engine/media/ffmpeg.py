"""PyAV, loaded the one way that leaves OpenCV's windows working. Everything of ours gets `av` from here, late.

Both bring their own X11 libraries: where PyAV's are loaded first, `cv2.namedWindow` spins for ever (PyAV#1050,
opencv#29195). So OpenCV comes first.
"""

import cv2

# isort: split
import av

__all__ = ["av", "cv2"]
