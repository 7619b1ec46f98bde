"""`jm-engine models`: what there is, and fetching it. Paths and the list go to stdout, all else to stderr."""

from __future__ import annotations

import argparse

from ..errors import JitMaskerError, ModelError, UsageError
from . import cache_folder, fetch, is_good, refused, say, table, user_file


def main(argv: list[str]) -> int:
    """Run `jm-engine models ...`; returns its exit code."""
    parser = argparse.ArgumentParser(prog="jm-engine models", description="Fetch the files this engine works with.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name, size, licence, and whether the file is here")
    pull = commands.add_parser("pull", help="fetch, verify, and print the paths")
    pull.add_argument("names", nargs="*", metavar="NAME", help=", ".join(table.ASSETS))
    pull.add_argument("--all", action="store_true", help="every one")
    pull.add_argument("--list", action="store_true", help="the same as `list`")
    options = parser.parse_args(argv)
    if options.command == "list" or options.list:
        return _list()
    try:
        if not options.names and not options.all:
            raise UsageError(f"pull needs a NAME or --all; known names: {', '.join(table.ASSETS)}")
        wanted = list(table.ASSETS.values()) if options.all else [table.find(name) for name in options.names]
    except UsageError as error:
        say(f"jm-engine: {error}")
        return error.exit_code
    return _pull_each(wanted)


def _pull_each(wanted: list[table.Asset]) -> int:
    """One that fails does not keep the others; the exit code is the first failure's."""
    code = 0
    for asset in wanted:
        try:
            print(fetch(asset))
        except JitMaskerError as error:
            say(f"jm-engine: {error}")
            code = code or error.exit_code
    return code


def _list() -> int:
    for asset in table.ASSETS.values():
        print(f"{asset.name:14} {asset.size / 1e6:5.1f} MB  {asset.licence} ({asset.source})\n{'':14} {_where(asset)}")
    return 0


def _where(asset: table.Asset) -> str:
    cached = cache_folder() / asset.file
    refusal = refused(cached)
    if refusal is None and is_good(cached, asset):
        return str(cached)
    try:
        local = user_file(asset)
    except ModelError as error:
        return f"JM_MODELS: {error}"
    if local is not None:
        return str(local)
    if refusal is not None:
        return str(refusal)
    return f"{cached} is damaged; pull it again" if cached.exists() else "not here yet"
