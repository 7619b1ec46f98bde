"""What `engine` offers to other programs; loaded when one of these names is asked for."""

from export.contracts import Published

from .contracts import (
    Canvas,
    Frame,
    KeepOptions,
    LearningStats,
    MaskerStats,
    PaintResult,
    PaintState,
    Picture,
    RoomOptions,
)
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
    "KeepOptions",
    "LearningStats",
    "Masker",
    "MaskerStats",
    "ModelError",
    "PaintResult",
    "PaintState",
    "Picture",
    "Published",
    "RoomOptions",
    "SinkError",
    "SourceError",
    "StudentFault",
    "TeacherError",
    "TeacherOptions",
    "UsageError",
]
