"""Every error this project raises on purpose. Knows nothing about what raises it.

    JitMaskerError               exit code 1   something failed while running
    ├── UsageError               2             an option, or an array handed to the library, is invalid
    ├── SourceError              3             the source cannot be opened, or was lost
    ├── BackendUnavailable       4             a backend asked for by name is not there
    ├── ModelError               5             weights or a download are not what they should be
    │   ├── ChecksumMismatch     5             the bytes are not the published ones
    │   └── UnsupportedStudent   5             a good student, which this backend cannot run
    ├── CandidateRejected        1             a new student disagrees with the trained one; it never goes live
    ├── StudentFault             1             the student that paints has no answer for a frame
    ├── GpuFault                 1             a call to the GPU failed
    ├── TeacherError             1             the teacher raised, hung, or answered nonsense
    ├── ControlError             1             a running engine refuses a command, or does not answer
    │   └── NoEngineRunning      3             there is none
    └── SinkError                1             the picture cannot be written

A message gives the value, the expectation and the remedy. `exit_code` is what `jm-engine` ends with.
"""

from export.errors import JitMaskerError, ModelError, UsageError

__all__ = [
    "BackendUnavailable",
    "CandidateRejected",
    "ChecksumMismatch",
    "ControlError",
    "GpuFault",
    "JitMaskerError",
    "ModelError",
    "NoEngineRunning",
    "SinkError",
    "SourceError",
    "StudentFault",
    "TeacherError",
    "UnsupportedStudent",
    "UsageError",
]


class SourceError(JitMaskerError):
    """The source cannot be opened or read, or was lost while running."""

    exit_code = 3


class BackendUnavailable(JitMaskerError):
    """A backend was asked for by name and cannot be had here."""

    exit_code = 4


class ChecksumMismatch(ModelError):
    """The bytes of an asset differ from the published ones."""


class UnsupportedStudent(ModelError):
    """A good student, which this backend cannot run: another may."""


class CandidateRejected(JitMaskerError):
    """A student that was about to go live gave NaN, the wrong shape, or numbers other than the trained ones."""


class StudentFault(JitMaskerError):
    """The student that paints failed, or answered NaN, on one frame."""


class GpuFault(JitMaskerError):
    """A call to the GPU failed while running: out of memory, a lost device, a driver that is too old."""


class TeacherError(JitMaskerError):
    """The teacher raised, did not answer in time, or answered something that is not a label."""


class ControlError(JitMaskerError):
    """A running engine refuses a command, does not answer, or cannot be trusted."""


class NoEngineRunning(ControlError):
    """No engine of this user is running that takes commands."""

    exit_code = 3


class SinkError(JitMaskerError):
    """The picture cannot be written: the disk is full, the device is gone, the container has no alpha."""
