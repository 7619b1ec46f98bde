"""`jm-engine ctl`: a command to a running engine. What it answers goes to stdout, all else to stderr.

Exit codes: 0 done, 1 the engine refuses or does not answer, 2 usage, 3 none is running.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ..errors import JitMaskerError, UsageError
from ..rooms.listing import line
from .client import Client, list_engines
from .commands import COMMANDS, parse


def main(argv: list[str]) -> int:
    """Run `jm-engine ctl ...`; returns its exit code."""
    options = _parser().parse_intermixed_args(argv)
    try:
        if options.list:
            return _list(options.json)
        if not options.words:
            print(command_list())
            return 0
        name, *arguments = options.words
        parse(name, arguments)  # a mistake is found without an engine
        client = Client.connect(options.pid)
        if name == "snapshot":
            return _snapshot(client, source=bool(arguments))
        result = client.call(name, *arguments)
    except JitMaskerError as error:
        print(f"jm-engine ctl: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(result) if options.json else readable(name, result))
    return 0


def command_list() -> str:
    """Every command in a line."""
    usage = {name: f"{name} {command.arguments}".rstrip() for name, command in COMMANDS.items()}
    width = max(map(len, usage.values()))
    return "\n".join(f"{usage[name]:{width}}  {command.help}" for name, command in COMMANDS.items())


def readable(name: str, result: dict[str, Any]) -> str:
    """A command's answer, for people."""
    match name:
        case "stats":
            return _stats(result)
        case "gallery":
            return "\n".join(result["names"]) or f"{result['folder']} is empty; put pictures or videos there"
        case "forget":
            return "what was learnt is gone"
        case "rooms" if "rooms" in result:
            return _rooms(result)
        case "correct":
            what = "belongs to the picture" if result["keep"] else "is background"
            return f"what lies there {what}, as soon as it is learnt; jm-engine ctl stats says what holds"
        case "undo":
            return "the last correction is taken back"
        case "stop":
            return "stopping"
    words = {True: "on", False: "off"}
    return "\n".join(f"{what}: {words[value] if isinstance(value, bool) else value}" for what, value in result.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jm-engine ctl",
        usage="%(prog)s [--pid PID] [--json] COMMAND [ARGUMENT ...]",
        description="Tell a running jm-engine what to do.",
        epilog="commands:\n" + command_list(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", metavar="COMMAND", help="one of those below; without one, they are listed")
    parser.add_argument("--pid", type=int, help="which engine, where several run")
    parser.add_argument("--list", action="store_true", help="list the engines that run")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    return parser


def _list(as_json: bool) -> int:
    engines = [_summary(pid) for pid in list_engines()]
    if as_json:
        print(json.dumps(engines))
        return 0
    for engine in engines:
        print(f"{engine['pid']:8}  {engine.get('source', '')} -> {engine.get('output', '')}  {engine['state']}")
    return 0


def _summary(pid: int) -> dict[str, Any]:
    try:
        stats = Client.connect(pid).call("stats")
    except JitMaskerError as error:
        return {"pid": pid, "state": str(error)}
    return {name: stats.get(name) for name in ("pid", "source", "output", "state")}


def _snapshot(client: Client, source: bool) -> int:
    if sys.stdout.isatty():
        raise UsageError("a snapshot is a JPEG, and this is a terminal; write: jm-engine ctl snapshot > picture.jpg")
    sys.stdout.buffer.write(client.snapshot(source=source))
    return 0


def _stats(stats: dict[str, Any]) -> str:
    """A few lines of `Session.status`."""
    width, height = stats["size"] or ("?", "?")
    switches = [name for name in ("paused", "mirrored", "framing") if stats[name]]
    lines = [
        ", ".join([f"{stats['state'] or 'no picture yet'}: {stats['fps']:.1f} fps", f"{width}x{height}", *switches]),
        f"{stats['source']} -> {stats['output']}, background {stats['background']}",
        f"CPU {stats['cpu_percent']:.0f} % of a core, paint {_ms(stats['paint_ms'])}, "
        f"latency {_ms(stats['latency_ms'])}",
        f"{stats['frames']} frames, {stats['dropped']} dropped, {stats['faults']} faults, {stats['unsure']} unsure, "
        f"source reopened {stats['reopened']} times",
        f"student {stats['version']}: {stats['swaps']} swaps, {stats['rejected']} rejected, "
        f"{stats['rollbacks']} rolled back",
    ]
    learning = stats["learning"]
    if learning is not None:
        state = f"ended ({learning['died']})" if learning["died"] else "on" if learning["on"] else "off"
        score = "none yet" if learning["score"] is None else f"{learning['score']:.3f}"
        lines.append(
            f"learning {state}: {stats['teacher']}, {learning['cpu_percent']:.0f} % of a core, IoU-Acc {score}"
            + (f", room {learning['room']}" if learning["room"] else "")
        )
        if learning["corrections"]:
            lines.append(_corrections(learning["corrections"]))
    return "\n".join(lines)


def _corrections(corrections: list[dict[str, Any]]) -> str:
    """How many hold, and what each does."""
    told = [
        f"{'keeps' if one['keep'] else 'drops'} "
        + (f"{100 * one['area']:.0f} % of the picture" if one["found"] else "what is looked for")
        for one in corrections
    ]
    return f"{len(told)} {'correction holds' if len(told) == 1 else 'corrections hold'}: {', '.join(told)}"


def _rooms(result: dict[str, Any]) -> str:
    """The list of `Session.rooms`."""
    if result["mode"] == "off":
        return "this run remembers no rooms (--rooms off, the default where the input is no camera)"
    return "\n".join(map(line, result["rooms"])) or f"no room is remembered in {result['folder']}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
