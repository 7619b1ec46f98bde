"""The live engine. `from engine import Masker` loads neither torch nor cv2 nor onnxruntime nor numba."""

import os

from export.contracts import Published

from .contracts import Canvas, Frame, LearningStats, MaskerStats, PaintResult, PaintState, Picture
from .cpu_budget import CpuBudget
from .errors import (
    BackendUnavailable,
    CandidateRejected,
    ChecksumMismatch,
    GpuFault,
    JitMaskerError,
    ModelError,
    SinkError,
    SourceError,
    StudentFault,
    TeacherError,
    UsageError,
)
from .masker import Masker
from .painting.edge_options import EdgeOptions
from .teacher_options import TeacherOptions

# ONNX Runtime reports to its maker and keeps a device id, from its import on, unless this is set before it
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = [
    "BackendUnavailable",
    "CandidateRejected",
    "Canvas",
    "ChecksumMismatch",
    "CpuBudget",
    "EdgeOptions",
    "Frame",
    "GpuFault",
    "JitMaskerError",
    "LearningStats",
    "Masker",
    "MaskerStats",
    "ModelError",
    "PaintResult",
    "PaintState",
    "Picture",
    "Published",
    "SinkError",
    "SourceError",
    "StudentFault",
    "TeacherError",
    "TeacherOptions",
    "UsageError",
    "__version__",
]
