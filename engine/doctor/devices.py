"""What is looked at and what is shown: camera, virtual camera, window."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

from . import Finding
from .system import System

LOAD = "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=jit-masker"
RELOAD = f"sudo modprobe -r v4l2loopback && {LOAD}"
LOOPBACK = {
    "debian": "v4l2loopback-dkms linux-headers-$(uname -r)",
    "fedora": "akmod-v4l2loopback",  # RPM Fusion
    "arch": "v4l2loopback-dkms linux-headers",
    "": "v4l2loopback",
}
TK = {"debian": "python3-tk", "fedora": "python3-tkinter", "arch": "tk", "": "python3-tk"}
KEYS = {  # the key that a distribution signs its own modules with, for mokutil
    "debian": "/var/lib/dkms/mok.pub",
    "ubuntu": "/var/lib/shim-signed/mok/MOK.der",
    "fedora": "/etc/pki/akmods/certs/public_key.der",
}
TRUE = ("Y", "1")  # how the kernel writes a switch that is on


def camera(system: System) -> Iterator[Finding]:
    """Whether there is one that this user can open."""
    if system.platform != "linux":
        yield Finding("camera", "unknown", f"not looked at on {system.platform}; try jm-engine, with a window")
        return
    found = list(system.video_devices(virtual=False))
    if not found:
        remedy = "plug a camera in"
        if system.modules is None:
            remedy += ", and hand it to this container or guest: --device /dev/video0"
        elif not system.path("/sys/module/uvcvideo").exists():
            remedy = "sudo modprobe uvcvideo"
        yield Finding("camera", "bad", "none: no device of a camera's driver", remedy)
    for device, name in found:
        yield _permission(system, "camera", device, name) or _in_use(system, "camera", device, name)


def virtual_camera(system: System) -> Iterator[Finding]:
    """Whether other programs could see our picture as a camera, and choose it."""
    subject = "virtual camera"
    if system.platform != "linux":
        yield Finding(subject, "unknown", f"not looked at on {system.platform}; OBS Studio brings one")
        return
    if importlib.util.find_spec("pyvirtualcam") is None:
        yield Finding(subject, "warn", "pyvirtualcam is not installed", system.pip("pyvirtualcam"))
    if not system.path("/sys/module/v4l2loopback").exists():
        yield _not_loaded(system)
        return
    found = list(system.video_devices(virtual=True))
    if not found:
        yield Finding(subject, "warn", "v4l2loopback is loaded and has no device", RELOAD)
    switches = (system.text("/sys/module/v4l2loopback/parameters/exclusive_caps") or "").split(",")
    if found and not all(switch in TRUE for switch in switches[: len(found)]):
        yield Finding(subject, "warn", "exclusive_caps is off: browsers do not list the camera", RELOAD)
    for device, name in found:
        yield _permission(system, subject, device, name) or _in_use(system, subject, device, name)


def _not_loaded(system: System) -> Finding:
    subject, modules = "virtual camera", system.modules
    if modules is None:
        what = "v4l2loopback is not loaded, and this kernel's modules are not here (a container?)"
        return Finding(subject, "warn", what, f"on the host: {LOAD}")
    if not any(modules.rglob("v4l2loopback.ko*")):
        what = f"v4l2loopback is not installed for the kernel {modules.name}"
        what += "; RPM Fusion has it" if system.distribution == "fedora" else ""
        return Finding(subject, "warn", what, f"{system.install(LOOPBACK)} && {LOAD}")
    if system.secure_boot and (key := KEYS.get(system.distribution or "")):
        return Finding(
            subject, "warn", "v4l2loopback is not loaded; secure boot is on, and refuses it until its key is enrolled "
            "(at the next start)", f"sudo mokutil --import {key}",
        )  # fmt: skip
    return Finding(subject, "warn", "v4l2loopback is installed and not loaded", LOAD)


def _permission(system: System, subject: str, device: str, name: str) -> Finding | None:
    path = system.path(device)
    if not path.exists():
        return Finding(subject, "bad", f"{device} {name}: the driver has it, /dev does not", "sudo udevadm trigger")
    if os.access(path, os.R_OK | os.W_OK):
        return None
    gid = path.stat().st_gid
    groups = [line.split(":") for line in (system.text("/etc/group") or "").splitlines()]
    group = next((fields for fields in groups if len(fields) > 3 and fields[2] == str(gid)), ["video", "", "", ""])
    user = system.environ.get("USER", "")
    if user and user in group[3].split(","):
        remedy = "log out and in again"
        return Finding(subject, "bad", f"{device} {name}: you are in the group {group[0]} since you logged in", remedy)
    remedy = f"sudo usermod -aG {group[0]} {user or '$USER'}"
    return Finding(subject, "bad", f"{device} {name}: permission denied; then log out and in again", remedy)


def _in_use(system: System, subject: str, device: str, name: str) -> Finding:
    users = system.users_of(device)
    return Finding(subject, "ok", f"{device} {name}" + (f", in use by {', '.join(users)}" if users else ""))


def secure_boot(system: System) -> Iterator[Finding]:
    """It matters to modules that are built here, as v4l2loopback is."""
    state = {None: "none: not started by UEFI", True: "on: only signed modules are loaded", False: "off"}
    yield Finding("secure boot", "ok", state[system.secure_boot])


def window(system: System) -> Iterator[Finding]:
    """A display, and an OpenCV or a Tk that can draw on it."""
    if system.platform == "linux" and not (system.environ.get("DISPLAY") or system.environ.get("WAYLAND_DISPLAY")):
        yield Finding("window", "warn", "no display", "jm-engine -o camera, or --headless")
    import cv2

    gui = next((line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")), "")
    if gui.split()[-1:] == ["NONE"]:
        if importlib.util.find_spec("_tkinter") is None:
            yield Finding("window", "warn", "neither OpenCV nor Python has one", system.install(TK))
        else:
            yield Finding("window", "ok", "Tk's; this OpenCV has none")
    else:
        yield Finding("window", "ok", f"OpenCV {cv2.__version__}, {gui.split(':')[-1].strip() or 'with a window'}")
