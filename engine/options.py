"""What `jm-engine` can be told: flags over environment (JM_*) over a TOML file over defaults. Runs nothing."""

from __future__ import annotations

import argparse
import math
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from . import __version__
from .defaults import LEARNING_BUDGET, STUDENT
from .errors import UsageError
from .media.naming import local_path
from .painting.presence import MIN_AREA
from .teacher_options import DEADLINE, MAX_DEADLINE, SIDE, Encoding, Privacy, TeacherOptions, Who

PACES = ("live", "fast", "lockstep")
MAX_THREADS = 256  # the student is small: more of them only wait, and a system refuses to start a hundred thousand
SECRETS = ("teacher_token",)  # have no flag, and stand in no message
MAX_KEPT = 5000  # frames: 300 MB
MAX_SEED = 2**32 - 1  # what NumPy and torch both take
GROUPS = {  # of --help; every option with a flag stands in one of them
    "every day": (
        "input", "output", "background", "mirror", "frame", "gallery", "teacher", "who", "headless", "yes",
    ),
    "camera and output": (
        "camera_size", "camera_fps", "camera_format", "reconnect", "sleep", "card", "control", "alpha", "report",
        "sound", "pace", "passes", "max_frames", "input_size", "fps", "loop",
    ),
    "edges": ("min_area", "threshold", "feather", "light_wrap"),
    "learning": (
        "learning_budget", "rooms", "keep_frames", "profile", "recipe", "student", "size", "weights", "backend",
        "threads", "still_gate", "seed",
    ),
    "this program": (),
    "a teacher elsewhere": (
        "teacher_authority", "teacher_deadline", "teacher_bandwidth", "teacher_side", "teacher_encoding",
        "teacher_privacy",
    ),
}  # fmt: skip


class Options(BaseModel):
    """The options of one run. A field's description is its help text; its name is its flag and its JM_ variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str = Field(
        "0", description="camera number or camera:NAME, file, folder of images, URL, - (raw BGR), or test://"
    )
    output: str | None = Field(
        None,
        description="window, a video (.mp4 .mov .mkv .webm), an image (.png .jpg .webp …), a folder (ends with /), "
        "camera[:DEVICE], - (raw), or null",
    )
    backend: str = Field("auto", description="what runs the student; see --list-backends")
    teacher: str = Field(
        "rvm",
        description="who teaches: rvm, u2net, u2netp, mrcnn50, yolo-seg, yolo-seg-small, a .toml that describes an "
        "ONNX segmenter, the URL of one elsewhere (https://host:8000/v2/models/NAME), or none; see docs/teachers.md",
    )
    who: Who = Field("all", description="whom to keep: all, largest, central, or same (who was there before)")
    teacher_token: str | None = Field(None, description="sent to a teacher elsewhere; has no flag")
    teacher_authority: str | None = Field(None, description="PEM file of who signed that teacher's certificate")
    teacher_deadline: float = Field(DEADLINE, gt=0, le=MAX_DEADLINE, description="seconds a label may take from there")
    teacher_bandwidth: float | None = Field(None, gt=0, description="bytes per second, there and back, on average")
    teacher_side: int = Field(SIDE, ge=16, le=4096, description="longer side of the pictures that go there, pixels")
    teacher_encoding: Encoding = Field("jpeg", description="how they travel: jpeg or raw")
    teacher_privacy: Privacy = Field("none", description="grey: no colour leaves; region: only what is near the person")
    background: str = Field(
        "blur",
        description="a picture, a video, #rrggbb, blur[:STRENGTH], or none (transparent). STRENGTH is at most 1, else "
        "0.6; below 0.4 it is painted as 0.4, so that nothing in the room can be read",
    )
    student: str = Field(STUDENT, description="lite, or the paper's: jitnet (the authors' channels), jitnet-fig2")
    size: int | str | None = Field(
        None, description="side of the student's input, or WxH, pixels; default: the student's own"
    )
    weights: str | None = Field(None, description="a .safetensors file made by jm-train; default: the shipped ones")
    rooms: Literal["off", "read", "on"] | None = Field(
        None,
        description="remember what was learnt in a room for the next time: off, read (use what is there), on; never a "
        "picture, see docs/rooms.md. Default: on for cameras, else off",
    )
    keep_frames: int = Field(
        0,
        ge=0,
        le=MAX_KEPT,
        description="how many frames of this input may be kept on this machine with their labels, for jm-train "
        "profile; see docs/profile.md. 0: none",
    )
    profile: Literal["on", "off"] = Field("on", description="off: begin with the shipped student, not with the profile")
    recipe: str = Field("default", description="how the student learns: default or paper")
    learning_budget: float = Field(
        LEARNING_BUDGET,
        description="CPU time of the learner, percent of one core over any minute; 0: no learning; unlimited. Lockstep "
        "has no limit",
    )
    threads: int | None = Field(
        None, ge=1, le=MAX_THREADS, description="CPU budget, shared by painting and learning, from 1 to 256"
    )
    still_gate: Literal["auto", "on", "off"] = Field(
        "auto",
        description="on: while nothing moves, what the student said is reused, for half a second at most; saves CPU, "
        "and does nothing on a GPU. auto: on at --pace live",
    )
    pace: Literal["live", "fast", "lockstep"] | None = Field(
        None,
        description="live keeps the source's clock; fast does not wait; lockstep learns once per frame, so that a run "
        "is repeatable. Default: live for cameras, streams and windows, lockstep from file to file",
    )
    passes: Literal[1, 2] | None = Field(
        None,
        description="2: read a video twice, and learn from a sample of all of it before the first picture is painted. "
        "Default: 2 in lockstep from file to file, else 1",
    )
    sound: Literal["copy", "encode", "none"] | None = Field(
        None,
        description="from file to file: copy it as it is, encode it (AAC, Opus), or none. "
        "Default: copy what the container can hold, encode the rest",
    )
    alpha: str | None = Field(
        None, description="also write the matte: an .mkv, lossless, one grey frame per frame, or an image"
    )
    report: str | None = Field(None, description="write a JSON report of the run to this file; see docs/report.md")
    camera_size: tuple[int, int] | None = Field(
        None, description="WxH asked of the camera, as in 1280x720; default: the best it offers up to 1280x720"
    )
    camera_fps: float | None = Field(None, gt=0, le=240, description="frames per second asked of the camera; else 30")
    camera_format: Literal["auto", "mjpeg", "yuyv"] = Field(
        "auto", description="how pictures come from the camera: mjpeg, yuyv, or auto (what costs least at that size)"
    )
    mirror: bool = Field(False, description="turn the person as a mirror does; the background stays as it is")
    frame: Literal["off", "auto"] = Field("off", description="auto: follow the person, never wider than it came")
    card: str | None = Field(None, description="a picture shown while paused or without a camera; else a card is drawn")
    reconnect: float | None = Field(
        None,
        description="seconds that a lost camera or stream is waited for, or unlimited; default: unlimited into a "
        "window or a virtual camera, else 60",
    )
    sleep: bool = Field(True, description="into a virtual camera: release the camera while nobody watches")
    gallery: str | None = Field(None, description="a folder of backgrounds, for jm-engine ctl and the panel")
    control: bool = Field(True, description="live: take commands of jm-engine ctl and of the panel")
    yes: bool = Field(False, description="overwrite an existing output without asking")
    headless: bool = Field(False, description="no window: without --output, nothing is shown")
    max_frames: int | None = Field(None, ge=1, description="stop after this many frames")
    input_size: tuple[int, int] | None = Field(None, description="WxH of raw frames on standard input")
    fps: float | None = Field(None, gt=0, description="frame rate of raw frames, images and test://")
    loop: bool = Field(False, description="start a file again at its end")
    min_area: float = Field(MIN_AREA, ge=0, lt=1, description="share of the frame below which nobody is painted")
    threshold: float = Field(0.5, description="how sure the student must be of a person, in (0, 1); lower keeps more")
    feather: float = Field(0.0, description="pixels over which the edge fades: > 0 outwards, < 0 into the person")
    light_wrap: float = Field(0.0, description="how much of the background's light falls on the edge, from 0 to 1")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="of what is drawn while learning")

    @property
    def teaching(self) -> TeacherOptions | None:
        """Who teaches, with all that was said about it; None for nobody."""
        if self.teacher == "none":
            return None
        return TeacherOptions(
            name=self.teacher, who=self.who, side=self.teacher_side, encoding=self.teacher_encoding,
            deadline=self.teacher_deadline, bandwidth=self.teacher_bandwidth, token=self.teacher_token,
            authority=self.teacher_authority, privacy=self.teacher_privacy,
        )  # fmt: skip

    @field_validator("input", "output", "background", "alpha", "report", "card", "weights", "gallery", mode="before")
    @classmethod
    def _as_path(cls, value: Any) -> Any:
        return local_path(value) if isinstance(value, str) else value

    @field_validator("learning_budget", "reconnect", mode="before")
    @classmethod
    def _or_unlimited(cls, value: Any, info: ValidationInfo) -> Any:
        try:
            number = math.inf if value == "unlimited" else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not number >= 0:
            what = "seconds" if info.field_name == "reconnect" else "percent of one core"
            raise ValueError(f"expected {what}, 0 or more, or unlimited")
        return number

    @field_validator("passes", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("input_size", "camera_size", mode="before")
    @classmethod
    def _width_by_height(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            width, height = (int(side) for side in value.lower().split("x"))
        except ValueError:
            raise ValueError("expected WxH, for example 640x480") from None
        if min(width, height) < 1:
            raise ValueError("expected positive sides, for example 640x480")
        return width, height


def read_options(argv: list[str], commands: Iterable[str] = ()) -> tuple[Options, argparse.Namespace]:
    """The options of a command line, and what argparse saw (for --list-backends and -v). `commands`: for --help.

    Raises
    ------
    UsageError
        An invalid value, from wherever it came; the message names the option, the value, what is expected and a remedy.
    """
    seen = _parser(commands).parse_intermixed_args(argv)
    if seen.files and seen.input is not None:
        raise UsageError(f"--input {seen.input} and {seen.files[0]} are both inputs; name all of them without --input")
    flags = {name: value for name, value in vars(seen).items() if name in Options.model_fields and value is not None}
    merged = {**_from_file(local_path(seen.config) if seen.config else None), **_from_environment(), **flags}
    try:
        return Options(**merged), seen
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "options"
        option = name.split(".")[0]
        if option in SECRETS:
            raise UsageError(f"JM_{option.upper()} is invalid: {_expected(option, first)}") from None
        raise UsageError(
            f"--{option.replace('_', '-')} is {merged.get(option)!r:.80}: {_expected(option, first)}; "
            "see jm-engine --help"
        ) from error


def _expected(option: str, error: Any) -> str:
    """What pydantic says of the value, or both bounds where it names only the one that was crossed."""
    bounds = Options.model_fields[option].metadata if option in Options.model_fields else []
    match bounds:
        case [Ge(ge=lowest), Le(le=highest)]:
            return f"expected {lowest} to {highest}"
    return error["msg"].removeprefix("Value error, ")


def _parser(commands: Iterable[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "jm-engine",
        usage="jm-engine [OPTIONS] [FILE ...], or jm-engine COMMAND --help",
        description="Paint people over another background, with a student that learns while it paints.",
        epilog=f"Commands: {', '.join(commands)}. Every option can also stand "
        "in a TOML file (--config) or in the environment (JM_BACKGROUND=...); a teacher's token only there, as "
        "JM_TEACHER_TOKEN. Exit codes: 0 ok, 1 runtime, 2 usage, 3 source lost, 4 backend unavailable, "
        "5 model or checksum, 130 interrupted.",
        add_help=False,
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="inputs, one after another, each into the folder -o")
    for title, names in GROUPS.items():
        group = parser.add_argument_group(title)
        for name in names:
            _add_flag(group, name)
        if title == "this program":
            group.add_argument("-h", "--help", action="help", help="show this, and stop")
            group.add_argument("--version", action="version", version=f"jm-engine {__version__}")
            group.add_argument("--config", metavar="FILE", help="TOML file with these options")
            group.add_argument("--list-backends", action="store_true", help="which backends can be used here, and stop")
            group.add_argument("-v", "--verbose", action="store_true", help="say more on standard error")
    for name in SECRETS:
        parser.add_argument(f"--{name.replace('_', '-')}", action=RefusedFlag, nargs="?", help=argparse.SUPPRESS)
    return parser


def _add_flag(group: argparse._ArgumentGroup, name: str) -> None:
    field = Options.model_fields[name]
    short = {"input": ["-i"], "output": ["-o"], "yes": ["-y"]}
    flags = [*short.get(name, []), f"--{name.replace('_', '-')}"]
    if field.annotation is bool:
        action = argparse.BooleanOptionalAction if field.default else "store_true"
        group.add_argument(*flags, action=action, default=None, help=field.description)
        return
    default = "" if field.default is None else f" (default: {field.default})"
    metavar = "{" + ",".join(PACES) + "}" if name == "pace" else name.upper().replace("_", "-")
    group.add_argument(*flags, metavar=metavar, help=f"{field.description}{default}")


class RefusedFlag(argparse.Action):
    """Of a secret: every user of the machine can read the arguments."""

    def __call__(self, *_: object) -> None:
        raise UsageError(
            f"{self.option_strings[0]} is no option, because other users of this machine can read it there; set "
            f"JM_{self.dest.upper()}, or {self.dest} in a file for --config"
        )


def _from_environment() -> dict[str, str]:
    found = {name: os.environ.get(f"JM_{name.upper()}") for name in Options.model_fields}
    return {name: value for name, value in found.items() if value is not None}


def _from_file(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # tomllib's, the encoding's, 5000 digits, 5000 brackets
        raise UsageError(f"cannot read the options in {path}: {error}; expected a TOML file") from error
    table = {name.replace("-", "_"): value for name, value in table.items()}
    unknown = sorted(table.keys() - Options.model_fields.keys())
    if unknown:
        raise UsageError(f"{path} has an unknown option {unknown[0]!r}; choose from {', '.join(Options.model_fields)}")
    return table
