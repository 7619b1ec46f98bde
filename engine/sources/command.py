"""jm-engine cameras: which cameras there are, and how they give pictures."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from .. import v4l2
from .devices import FORMATS, in_words, stable_link


def main(arguments: list[str]) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser("jm-engine cameras", description="List the cameras and what they offer.")
    parser.add_argument("--json", action="store_true", help="for programs")
    as_json = parser.parse_args(arguments).json
    if not sys.platform.startswith("linux"):
        print("cameras are listed on Linux only; here they are numbered from 0: jm-engine -i 0", file=sys.stderr)
        return 1
    cameras = [device for device in v4l2.devices() if device.captures or device.is_loopback]
    found = [(device, _modes(device)) for device in cameras]
    if as_json:
        table = [
            dataclasses.asdict(device)
            | {"link": stable_link(device.path), "modes": [dataclasses.asdict(m) for m in modes]}
            for device, modes in found
        ]
        print(json.dumps(table, indent=1))
        return 0
    for device, modes in found:
        kind = "virtual camera, for --output camera:" if device.is_loopback else "camera, for --input "
        print(f"{device.path}  {device.name}  ({kind}{device.path[10:]})")
        known = [mode for mode in modes if mode.fourcc in FORMATS.values()]
        if known and not device.is_loopback:
            print(f"    {in_words(known)}")
    if not found:
        print("no camera is connected, or none that you may open")
    return 0


def _modes(device: v4l2.Device) -> list[v4l2.Mode]:
    try:
        return v4l2.modes(device.path) if device.captures else []
    except OSError:  # it went away
        return []
