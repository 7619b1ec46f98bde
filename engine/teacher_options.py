"""Who teaches, which people to keep, and how a remote teacher is asked: values only. Knows no teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Who = Literal["all", "largest", "central", "same"]
Encoding = Literal["jpeg", "raw"]
Privacy = Literal["none", "grey", "region"]

SIDE = 512  # pixels; RVM works at 512, and the student sees 256
DEADLINE = 2.0  # s
MAX_DEADLINE = 4.0  # s; the guard around every teacher gives up after 5


@dataclass(frozen=True)
class TeacherOptions:
    """Everything a teacher can be told. Only `name` and `who` mean something to one on this machine."""

    name: str = "rvm"  # in TEACHERS, a .toml that describes an ONNX segmenter, or an http(s) URL of a v2 model
    who: Who = "all"  # whom a label keeps; see training/teachers/subjects.py
    side: int = SIDE  # pixels, the longer side of what is sent
    encoding: Encoding = "jpeg"  # how a picture travels
    quality: int = 85  # of JPEG, 1 to 100
    deadline: float = DEADLINE  # s for one label, from asking to having it
    bandwidth: float | None = None  # bytes/s, both directions together; None: no cap
    token: str | None = field(default=None, repr=False)  # sent as "Authorization: Bearer"
    authority: str | None = None  # PEM file of the authority that signed the server's certificate; None: the system's
    privacy: Privacy = "none"  # grey: no colour leaves; region: only what lies around the person


def as_teacher_options(teacher: str | TeacherOptions) -> TeacherOptions:
    """`teacher` itself, or the one of this name with nothing else said."""
    return TeacherOptions(name=teacher) if isinstance(teacher, str) else teacher
