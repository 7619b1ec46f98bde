"""`jm-engine panel`: listen on this machine, print the address, serve until Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import threading

from ..errors import BackendUnavailable, UsageError

HOST, PORT = "127.0.0.1", 8643
TRIED = 20  # ports, from PORT on
SHUTDOWN_TIMEOUT = 1  # s for answers on their way
MAX_PIXELS = 1 << 27  # of a picture that is decoded for the gallery; 400 MB


def main(arguments: list[str]) -> int:
    """Run `jm-engine panel` until it is told to stop; returns its exit code.

    Raises
    ------
    BackendUnavailable
        Starlette or uvicorn is not installed.
    UsageError
        The port cannot be had.
    """
    options = _parser().parse_args(arguments)
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))  # read once, when OpenCV is loaded
    try:
        import uvicorn

        from .access import Access, new_token
        from .app import build
    except ImportError as error:
        raise BackendUnavailable(
            f'jm-engine panel needs {error.name}, which is not installed; pip install "jit-masker[panel]"'
        ) from error
    from .running import Engine

    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a stranger's WebSocket is worth no message
    token = new_token()
    with listen(options.port) as listener:
        port = listener.getsockname()[1]
        app = Access(build(Engine(options.pid)), port, token)
        config = uvicorn.Config(
            app, http="h11", loop="asyncio", ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
        )  # fmt: skip
        address = f"http://{HOST}:{port}/?token={token}"
        print(address, flush=True)
        if options.browser:
            open_browser(address)
        uvicorn.Server(config).run(sockets=[listener])  # ends cleanly on a signal, and then raises it again
    return 0


def listen(port: int | None) -> socket.socket:
    """A listening socket at `port`, 0: the system chooses; None: at PORT, or the next one that is free. UsageError."""
    for candidate in range(PORT, PORT + TRIED) if port is None else [port]:
        try:
            return socket.create_server((HOST, candidate))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
    asked = f"ports {PORT} to {PORT + TRIED - 1}" if port is None else f"port {port}"
    raise UsageError(f"cannot listen at {asked} of {HOST}: {reason}; choose another --port")


def open_browser(address: str) -> None:
    """In the background. Without a desktop it is left to the user: a browser in the terminal would take that over."""
    import webbrowser

    desktop = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if desktop:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "jm-engine panel",
        description="Show a running engine in the browser, and command it there. Only this machine can reach the page, "
        "and only with the address that is printed. It may be started before the engine.",
    )
    parser.add_argument(
        "--port", type=int, help=f"0: the system chooses (default: {PORT}, or the next one that is free)"
    )
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="only print the address")
    parser.add_argument("--pid", type=int, help="of the engine, where several run")
    return parser
