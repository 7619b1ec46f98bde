"""`jm-engine profile`: what is kept of this camera, and how all of it is deleted. What is known goes to stdout, all
else to stderr.

Exit codes: 0 done, 1 something cannot be deleted, 2 usage, 5 a key store that does not answer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from ..control.client import Client, list_engines
from ..errors import ControlError, JitMaskerError, SinkError
from ..rooms.room import fingerprint
from ..rooms.store import RoomStore
from . import sealing
from .start import profiles_in, read_profile
from .store import FrameStore


def main(argv: list[str]) -> int:
    """Run `jm-engine profile ...`; returns its exit code."""
    options = _parser().parse_args(argv)
    try:
        if options.command == "show":
            _show(FrameStore(), options.json)
        else:
            forget(FrameStore())
    except JitMaskerError as error:
        print(f"jm-engine profile: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"jm-engine profile: {error}", file=sys.stderr)
        return SinkError.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jm-engine profile",
        description="Frames that were kept with --keep-frames, and the student that jm-train profile taught on them. "
        "What lies on disk: docs/profile.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="how many frames, since when, how they are protected, what was learnt")
    show.add_argument("--json", action="store_true", help="in JSON")
    commands.add_parser("forget", help="delete frames, labels, profile, its rooms and its key, here and in engines")
    return parser


# -- show --------------------------------------------------------------------------------------------------------------


def _show(store: FrameStore, as_json: bool) -> None:
    facts = facts_of(store)
    if as_json:
        print(json.dumps(facts))
        return
    if not facts["frames"] and not facts["profiles"]:
        print(f"nothing is kept in {store.folder}; see --keep-frames", file=sys.stderr)
        return
    print(f"{facts['frames']} frames in {store.frames}, {facts['bytes'] / 1e6:.1f} MB, {facts['encrypted']} encrypted")
    if facts["frames"]:
        days = [time.strftime("%Y-%m-%d", time.localtime(at)) for at in (facts["first"], facts["last"])]
        print(f"from {days[0]} to {days[1]}")
    for profile in facts["profiles"]:
        print(f"{profile['file']}: {profile['says']}")


def facts_of(store: FrameStore) -> dict[str, Any]:
    """What is known without a key."""
    paths = store.paths()
    states = [path.stat() for path in paths]
    return {
        "folder": str(store.folder),
        "frames": len(paths),
        "bytes": sum(state.st_size for state in states),
        "encrypted": sum(store.is_sealed(path) for path in paths),
        "first": min((state.st_mtime for state in states), default=None),
        "last": max((state.st_mtime for state in states), default=None),
        "profiles": [_facts_of_profile(path) for path in profiles_in(store.folder)],
    }


def _facts_of_profile(path: Path) -> dict[str, Any]:
    try:
        profile = read_profile(path)
    except (OSError, JitMaskerError) as error:
        return {"file": path.name, "says": f"cannot be used: {error}"}
    return {"file": path.name, "says": profile.gain, **profile.weights.card}


# -- forget ------------------------------------------------------------------------------------------------------------


def forget(store: FrameStore) -> None:
    """Everything, in an order that leaves no gap: first the consent, so that nobody writes any more; then the files;
    then engines that run let go of the student; then the rooms that were learnt from it; last the key.

    Raises
    ------
    SinkError, KeyStoreError
        Something is left; the message names it. What could be deleted is.
    """
    starts = _starts(store)
    failures: list[JitMaskerError | OSError] = []
    for step in (
        lambda: _forget_files(store, starts),
        _tell_engines,
        lambda: _forget_rooms(starts),
        lambda: _key(store),
    ):
        try:
            step()
        except (JitMaskerError, OSError) as error:  # one that fails is no reason to leave the rest
            failures.append(error)
    for other in failures[1:]:
        print(f"jm-engine profile: {other}", file=sys.stderr)
    if failures:
        raise failures[0]


def _forget_files(store: FrameStore, starts: set[str]) -> None:
    print(f"{store.forget()} frames and {len(starts)} profiles forgotten")


def _key(store: FrameStore) -> None:
    if sealing.forget_key(store.folder):
        print("and the key, in the key store")


def _starts(store: FrameStore) -> set[str]:
    """Fingerprints of all profiles, readable or not."""
    found = set()
    for path in profiles_in(store.folder):
        try:
            found.add(fingerprint(read_profile(path).weights))
        except (OSError, JitMaskerError):
            found.add(path.name)  # no room is called so
    return found


def _tell_engines() -> None:
    try:
        engines = list_engines()
    except ControlError:  # a system on which none takes commands, or a folder that nobody uses
        return
    for pid in engines:
        try:
            Client.connect(pid).call("forget")
        except JitMaskerError as error:
            print(
                f"jm-engine profile: the engine {pid} was not told: {error}. It keeps no more frames, but paints with "
                "what it knows until it is stopped",
                file=sys.stderr,
            )


def _forget_rooms(starts: set[str]) -> None:
    rooms = RoomStore()
    mine = [room.facts.id for room in rooms.all() if room.facts.start in starts]
    if forgotten := sum(rooms.forget(room_id) for room_id in mine):
        print(f"{forgotten} rooms that were learnt from it, too")
