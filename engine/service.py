"""`jm-engine install-service`: a systemd user unit; a LaunchAgent and a start-up file on other systems.

A file that does not carry our mark is somebody else's: it is neither overwritten nor removed. Nothing is started here;
the command that does so is told. The macOS and Windows files are written as their systems document them, and untried.
"""

from __future__ import annotations

import argparse
import os
import plistlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import JitMaskerError, SinkError, UsageError

MARK = "Written by jm-engine install-service"
NAME = "jit-masker"
LABEL = "io.github.jit-masker"
DEFAULTS = ("-o", "camera")
START_S = 180  # that the first start may take, which compiles; later ones take seconds
SILENT_S = 20  # without a word, after which it hangs: twice what the painter may take for a frame
RESTARTS, WITHIN_S, PAUSE_S = 5, 300, 3  # starts that may fail within so many seconds, and the pause between two


@dataclass(frozen=True)
class Service:
    """What is written where, and what the user does next."""

    path: Path
    text: str
    start: str  # command
    stop: str  # command, before the file is removed
    untried: bool = False


def main(arguments: Sequence[str]) -> int:
    """Write the file, or remove it; `arguments` follow `jm-engine install-service`."""
    parser = argparse.ArgumentParser(
        "jm-engine install-service",
        usage="jm-engine install-service [-h] [--remove] [--dry-run] [-- OPTIONS]",
        description="Start jm-engine with your session, and again where it fails.",
        epilog=f"OPTIONS are jm-engine's; without any: {' '.join(DEFAULTS)}. Files are looked for from this folder.",
    )
    parser.add_argument("--remove", action="store_true", help="take back what was installed")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    given = list(arguments)
    split = given.index("--") if "--" in given else len(given)
    asked = parser.parse_args(given[:split])
    options = given[split + 1 :] or list(DEFAULTS)
    try:
        if not asked.remove:
            check_options(options)
        # -P: a folder that happens to hold a package called engine is not run
        service = describe([sys.executable, "-P", "-m", "engine.cli", *options], Path.cwd())
        print(remove(service, asked.dry_run) if asked.remove else install(service, asked.dry_run))
    except JitMaskerError as error:
        print(f"jm-engine: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def check_options(options: Sequence[str]) -> None:
    """UsageError for what jm-engine would refuse at each start, long after anybody looks."""
    from .options import read_options

    try:
        read_options(list(options))
    except SystemExit as end:  # argparse's: it has said why; or --help, which starts nothing
        raise UsageError(f"{' '.join(options)!r} are no options to start jm-engine with; see jm-engine --help") from end


def describe(
    command: Sequence[str],
    folder: Path,
    platform: str = sys.platform,
    environ: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> Service:
    """The service that runs `command` in `folder`, for this system."""
    home = home or Path.home()
    if platform == "darwin":
        path = home / f"Library/LaunchAgents/{LABEL}.plist"
        quoted = f"'{path}'"
        return Service(path, launch_agent(command, folder), f"launchctl load -w {quoted}",
                       f"launchctl unload -w {quoted}", untried=True)  # fmt: skip
    if platform == "win32":
        start_up = Path(environ.get("APPDATA") or home / "AppData/Roaming") / "Microsoft/Windows/Start Menu"
        path = start_up / f"Programs/Startup/{NAME}.cmd"
        return Service(path, start_up_file(command, folder), f'"{path}"', "jm-engine ctl stop", untried=True)
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    unit = f"{NAME}.service"
    return Service(
        config / "systemd/user" / unit,
        systemd_unit(command, folder),
        f"systemctl --user daemon-reload && systemctl --user enable --now {unit}",
        f"systemctl --user disable --now {unit}",
    )


# -- the three files ---------------------------------------------------------------------------------------------------


def systemd_unit(command: Sequence[str], folder: Path) -> str:
    """A user unit; see systemd.service(5) and systemd.unit(5)."""
    return f"""# {MARK}; `jm-engine install-service --remove` takes it back.
[Unit]
Description=A virtual background that learns the room
StartLimitIntervalSec={WITHIN_S}
StartLimitBurst={RESTARTS}

[Service]
Type=notify
NotifyAccess=main
TimeoutStartSec={START_S}
WatchdogSec={SILENT_S}
ExecStart={" ".join(map(systemd_word, command))}
WorkingDirectory={str(folder).replace("%", "%%")}
Restart=on-failure
RestartSec={PAUSE_S}
RestartPreventExitStatus=2
KillSignal=SIGINT
SuccessExitStatus=130

[Install]
WantedBy=default.target
"""


def systemd_word(word: str) -> str:
    """One word of ExecStart: there % begins a specifier, $ a variable, and a backslash an escape, also in quotes."""
    check_word(word)
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def launch_agent(command: Sequence[str], folder: Path) -> str:
    """A property list for launchd; see launchd.plist(5)."""
    for word in command:
        check_word(word)
    agent = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "WorkingDirectory": str(folder),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": WITHIN_S // RESTARTS,
    }
    head, line, rest = plistlib.dumps(agent, sort_keys=False).decode().partition("<plist")
    return f"{head}<!-- {MARK} -->\n{line}{rest}"


def start_up_file(command: Sequence[str], folder: Path) -> str:
    """A command file for the start-up folder. It does not start again what failed."""
    for word in (*command, str(folder)):
        check_word(word)
        if '"' in word:
            raise UsageError(f"{word!r} holds a quote, which a .cmd file cannot pass on; leave it out")
    # the first quoted word after `start` is the window's title; % would begin a variable
    words = " ".join(f'"{word}"' for word in command).replace("%", "%%")
    place = str(folder).replace("%", "%%")
    return f'@rem {MARK}\r\n@start "{NAME}" /min /d "{place}" {words}\r\n'


def check_word(word: str) -> None:
    """UsageError for what no line of such a file can hold."""
    if any(ord(character) < 32 for character in word):
        raise UsageError(f"{word!r} holds a control character; expected a word without one")


# -- on disk -----------------------------------------------------------------------------------------------------------


def install(service: Service, dry_run: bool) -> str:
    """Write the file; what to say. UsageError where another's is there, SinkError where it cannot be written."""
    from .backends.atomic_file import write_atomically

    check_ours(service.path)
    if dry_run:
        return f"would write {service.path}:\n\n{service.text}\nStart it: {service.start}"
    try:
        write_atomically(service.path, service.text.encode())
    except OSError as error:
        raise SinkError(f"cannot write {service.path}: {error.strerror}; make its folder yours to write") from error
    untried = "This file is untried on this system; tell us how it went.\n" if service.untried else ""
    return f"wrote {service.path}\n{untried}Start it, now and with each session: {service.start}"


def remove(service: Service, dry_run: bool) -> str:
    """Take the file away; what to say. Raises as `install`."""
    if not check_ours(service.path):
        return f"nothing to remove: there is no {service.path}"
    if dry_run:
        return f"would run {service.stop}, and remove {service.path}"
    stopped = ""
    if service.path.suffix == ".service":
        try:  # a unit whose file is gone cannot be disabled; where no session runs there is nothing to stop
            done = subprocess.run(service.stop.split(), capture_output=True, text=True, timeout=60)
            stopped = "" if done.returncode == 0 else f"\nIt could not be stopped: {done.stderr.strip()}"
        except (OSError, subprocess.TimeoutExpired) as error:
            stopped = f"\nIt could not be stopped: {error}"
    else:
        stopped = f"\nStop what runs: {service.stop}"
    try:
        service.path.unlink()
    except OSError as error:
        raise SinkError(f"cannot remove {service.path}: {error.strerror}; remove it by hand") from error
    return f"removed {service.path}{stopped}"


def check_ours(path: Path) -> bool:
    """Whether there is a file of ours at `path`; UsageError where it is not ours, or a link."""
    if not os.path.lexists(path):
        return False
    remedy = "it is left as it is; move it away first"
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"{path} is not a plain file; {remedy}")
    try:
        ours = MARK.encode() in path.read_bytes()[:500]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; {remedy}") from error
    if not ours:
        raise UsageError(f"{path} was not written by jm-engine; {remedy}")
    return True
