"""What computes and what is kept: teacher, processor, GPU, cache, telemetry, control, panel; the table of checks."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from kernels.ownership import check_folder

from .. import silence
from ..assets import cache_folder, is_good, refused, user_file
from ..assets.table import ASSETS
from ..errors import JitMaskerError
from . import Check, Finding
from .devices import camera, secure_boot, virtual_camera, window
from .system import System

TEACHER = "rvm"
ROOM = 500 << 20  # bytes: every model, and one download
SOCKET_PATH = 107  # bytes that the name of a local socket may have on Linux
SELF_SCALING = ("intel_pstate", "amd-pstate-epp", "intel_cpufreq")  # drivers whose powersave is not slow


def teacher(system: System) -> Iterator[Finding]:
    """Whether anything can be learnt here: torch, the default teacher's weights, their licence."""
    if importlib.util.find_spec("torch") is None:
        yield Finding("teacher", "warn", "torch is not installed: nothing is learnt", system.pip("jit-masker[learn]"))
    else:
        yield Finding("teacher", "ok", f"torch {metadata.version('torch')}")
    asset = ASSETS[TEACHER]
    cached = cache_folder() / asset.file
    try:
        local = cached if refused(cached) is None and is_good(cached, asset) else user_file(asset)
    except JitMaskerError as error:
        yield Finding("teacher", "bad", f"JM_MODELS: {error}", "unset JM_MODELS")
        return
    if local is not None:
        yield Finding("teacher", "ok", f"{TEACHER}, checksum right, licence {asset.licence}: {local}")
        return
    state = "are damaged" if cached.exists() else "are not here, and come with the first run that learns"
    yield Finding(
        "teacher", "warn", f"the weights of {TEACHER} ({asset.licence}) {state}", f"jm-engine models pull {TEACHER}"
    )


def processor(system: System) -> Iterator[Finding]:
    """Cores, instructions, and what holds the clock down."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _cgroup_limit(system)
    lines = (system.text("/proc/cpuinfo") or "").splitlines()
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), None)
    vector = next((name for name in ("avx512f", "avx2") if name in (flags or ())), None)
    text = f"{cores} cores" + (f", limited to {limit:g} by a cgroup" if limit is not None else "")
    text += f", {vector.upper()}" if vector else ""
    if min(cores, limit or cores) < 2:
        yield Finding("processor", "warn", f"{text}; painting and learning want two", "jm-engine --teacher none")
    elif flags is not None and vector is None:
        yield Finding("processor", "warn", f"{text}, no AVX2: painting is slower", "jm-engine --size 192")
    else:
        yield Finding("processor", "ok", text)
    folder = "/sys/devices/system/cpu/cpu0/cpufreq"
    governor, driver = system.text(f"{folder}/scaling_governor"), system.text(f"{folder}/scaling_driver")
    if governor == "powersave" and driver not in SELF_SCALING:
        remedy = "sudo cpupower frequency-set -g schedutil"
        yield Finding("processor", "warn", "the governor is powersave: the slowest clock, always", remedy)


def _cgroup_limit(system: System) -> float | None:
    """Cores' worth of time that the cgroups above us allow, the least of them; None for no limit."""
    limits = []
    for line in (system.text("/proc/self/cgroup") or "").splitlines():
        if not line.startswith("0::"):
            continue
        place = Path(line[3:].lstrip("/"))
        for folder in (place, *place.parents):
            match (system.text(f"/sys/fs/cgroup/{folder}/cpu.max") or "").split():
                case [quota, period] if quota != "max":
                    limits.append(int(quota) / int(period))
    quota_v1, period_v1 = (system.text(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota_v1 and period_v1 and int(quota_v1) > 0:
        limits.append(int(quota_v1) / int(period_v1))
    return min(limits, default=None)


def graphics(system: System) -> Iterator[Finding]:
    """What `--backend auto` takes, and why."""
    from ..backends import ON_GPU, gpu_check_record, load
    from ..backends import gpu_detection as gpu

    card, choice = gpu.find(), load("auto")
    if isinstance(card, str):
        yield Finding("GPU", "ok", f"{card}; auto takes {choice.name}")
    elif choice.name in ON_GPU:
        yield Finding("GPU", "ok", f"{card.name}, {card.driver}; auto takes {choice.name}: {choice.reason}")
    else:
        what = f"{card.name} is not used; auto takes {choice.name}: {choice.reason}"
        yield Finding("GPU", "warn", what, gpu_check_record.COMMAND)


def cache(system: System) -> Iterator[Finding]:
    """Ours, private, with room."""
    folder = cache_folder().parent
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        if place == folder:
            check_folder(place)
    except PermissionError as error:
        yield Finding("cache", "bad", str(error), shlex.join(["chmod", "go-w", str(folder)]))
        return
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        yield Finding("cache", "bad", f"{folder} cannot be written", "export JM_HOME=FOLDER, one that you can write")
    elif free < ROOM:
        remedy = "export JM_HOME=FOLDER, one with room"
        yield Finding("cache", "warn", f"{folder}: {free >> 20} MB left on its disk, wanted {ROOM >> 20}", remedy)
    else:
        yield Finding("cache", "ok", f"{folder}, {free >> 30} GB free")


def telemetry(system: System) -> Iterator[Finding]:
    """The switches of engine/silence.py, as they stand in this process."""
    for name, value in silence.SWITCHES.items():
        if system.environ.get(name) != value:
            yield Finding("telemetry", "bad", f"{name} is {system.environ.get(name)!r}", f"export {name}={value}")
            return
    yield Finding("telemetry", "ok", f"off: {', '.join(f'{name}={value}' for name, value in silence.SWITCHES.items())}")


def control(system: System) -> Iterator[Finding]:
    """Where `jm-engine ctl` finds a run."""
    from ..control import place

    if not place.POSSIBLE:
        yield Finding("control", "warn", "this system has no local sockets: no jm-engine ctl, no panel")
        return
    folder = place.socket_folder()
    try:
        engines = place.running(folder)
    except PermissionError as error:
        yield Finding("control", "bad", str(error), shlex.join(["chmod", "700", str(folder)]))
        return
    if len(os.fsencode(folder / f"{2**22}{place.SUFFIX}")) > SOCKET_PATH:
        yield Finding("control", "bad", f"{folder} is too long a name", "export XDG_RUNTIME_DIR=/run/user/$(id -u)")
        return
    yield Finding("control", "ok", f"{folder}" + (f", running: {', '.join(map(str, engines))}" if engines else ""))


def panel(system: System) -> Iterator[Finding]:
    """What `jm-engine panel` needs."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding("panel", "warn", f"{' and '.join(missing)} not installed", system.pip(*missing))
    else:
        yield Finding("panel", "ok", "starlette, uvicorn")


def packages(system: System) -> Iterator[Finding]:
    """Whether somebody else's packages stand before ours."""
    from ..siblings import check_siblings

    try:
        check_siblings()
    except JitMaskerError as error:
        yield Finding("packages", "bad", str(error), "pipx install jit-masker")
        return
    yield Finding("packages", "ok", f"all from {Path(__file__).resolve().parents[2]}")


CHECKS: dict[str, Check] = {
    "camera": camera,
    "virtual camera": virtual_camera,
    "secure boot": secure_boot,
    "window": window,
    "teacher": teacher,
    "processor": processor,
    "GPU": graphics,
    "cache": cache,
    "telemetry": telemetry,
    "control": control,
    "panel": panel,
    "packages": packages,
}
