"""`jm-engine rooms`: what is remembered of places, and how it is deleted. The list goes to stdout, all else to stderr.

Exit codes: 0 done, 1 a file cannot be written, 2 usage, 3 a file that cannot be read, 5 a file that is no room.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from ..control.client import Client, list_engines
from ..errors import JitMaskerError, ModelError, SinkError, SourceError, UsageError
from .listing import line, listing
from .room import from_bytes, new_id, to_bytes
from .store import RoomStore


def main(argv: list[str]) -> int:
    """Run `jm-engine rooms ...`; returns its exit code."""
    options = _parser().parse_args(argv)
    store = RoomStore()
    try:
        match options.command:
            case "list":
                return _list(store, options.json)
            case "show":
                print(json.dumps(asdict(store.get(options.id).facts), indent=1))
            case "forget":
                return _forget(store, options.ids)
            case "export":
                _export(store, options.id, Path(options.file))
            case "import":
                print(_import(store, Path(options.file)))
    except JitMaskerError as error:
        return _failed(error)
    except OSError as error:
        return _failed(SinkError(f"{error.filename or store.folder}: {error.strerror or error}"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jm-engine rooms",
        description="Places whose student is remembered. What of them lies on disk: docs/rooms.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="name, camera, last visit, visits, score")
    listing.add_argument("--json", action="store_true", help="in JSON")
    commands.add_parser("show", help="all that is known of one").add_argument("id", metavar="ID")
    forget = commands.add_parser("forget", help="delete rooms, here and in engines that run")
    forget.add_argument("ids", nargs="+", metavar="ID", help="names as `list` shows them, or all")
    export = commands.add_parser("export", help="one as a file, for another machine of yours")
    export.add_argument("id", metavar="ID")
    export.add_argument("file", metavar="FILE")
    commands.add_parser("import", help="a file that `export` wrote").add_argument("file", metavar="FILE")
    return parser


def _failed(error: JitMaskerError) -> int:
    print(f"jm-engine rooms: {error}", file=sys.stderr)
    return error.exit_code


def _list(store: RoomStore, as_json: bool) -> int:
    if as_json:
        print(json.dumps([asdict(room.facts) for room in store.all()]))
        return 0
    rooms = listing(store)
    if not rooms:
        print(f"no room is remembered in {store.folder}", file=sys.stderr)
    for room in rooms:
        print(line(room))
    return 0


def _forget(store: RoomStore, ids: list[str]) -> int:
    """First engines that run let go, so that none writes a room again; then the files go, and that is looked at."""
    everything = ids == ["all"]
    for pid in list_engines():
        try:
            client = Client.connect(pid)
            learning = client.call("stats")["learning"]
            if everything or (learning is not None and learning.get("room") in ids):
                client.call("forget")
        except JitMaskerError as error:
            print(f"jm-engine rooms: the engine {pid} was not told: {error}", file=sys.stderr)
    if everything:
        print(f"{store.forget_all()} forgotten")
        return 0
    missing = [room_id for room_id in ids if not store.forget(room_id)]
    print(f"{len(ids) - len(missing)} forgotten")
    if missing:
        raise UsageError(f"no room {missing[0]} in {store.folder}; see jm-engine rooms list")
    return 0


def _export(store: RoomStore, room_id: str, target: Path) -> None:
    room = store.get(room_id)
    try:
        with open(target, "xb") as file:
            file.write(to_bytes(room))
    except FileExistsError:
        raise UsageError(f"{target} is there already; choose another name") from None


def _import(store: RoomStore, source: Path) -> str:
    """Under a name of its own, where the one it has is taken."""
    try:
        data = source.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {source}: {error.strerror}") from error
    try:
        room = from_bytes(data)
    except ModelError as error:
        raise ModelError(f"{source}: {error}; expected a file that jm-engine rooms export wrote") from error
    if any(other.facts.id == room.facts.id for other in store.all()):
        room = replace(room, facts=replace(room.facts, id=new_id()))
    store.save(room)
    return room.facts.id
