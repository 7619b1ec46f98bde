"""jm-teacher: the composition root. Options in, a server out. Nobody imports this module."""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from engine.errors import BackendUnavailable, JitMaskerError, UsageError
from engine.teacher_options import TeacherOptions, Who

from ..client import authorization, is_loopback
from .model import Limits
from .worker import WorkerOptions

log = logging.getLogger("jit_masker")

HOST, PORT = "127.0.0.1", 8000
TOKEN = "JM_TEACHER_TOKEN"  # environment; every user of the machine can read the arguments
SHUTDOWN_TIMEOUT = 10  # s for requests in work, after SIGTERM
KEEP_ALIVE = 60  # s between two requests of one caller: labels may come seconds apart
STATELESS = tuple(who for who in get_args(Who) if who != "same")  # callers share one teacher


def main(argv: Sequence[str] | None = None) -> int:
    """Run `jm-teacher` until it is told to stop; returns its exit code."""
    options = _parser().parse_args(argv)
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="jm-teacher: %(message)s", stream=sys.stderr)
    try:
        return run(options)
    except JitMaskerError as error:
        print(f"jm-teacher: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def run(options: argparse.Namespace) -> int:
    token = os.environ.get(TOKEN)
    authorization(token, TOKEN)
    check_exposure(options.host, token, options.certificate)
    teacher = TeacherOptions(name=options.teacher, who=options.who)
    limits = Limits(body=options.max_bytes, pixels=options.max_pixels)
    try:
        import uvicorn

        from .app import Service, build
        from .connections import LimitedProtocol
        from .metrics import Metrics
    except ImportError as error:
        raise missing_package(error, "serve") from error
    metrics = Metrics(lambda: worker.waiting)
    worker = (ray_fleet if options.ray else local_worker)(teacher, options, metrics.batch.observe)
    name = options.name or model_name(options.teacher)
    service = Service(name, worker.label, limits, token, metrics, worker.healthy)
    config = uvicorn.Config(
        build(service, worker.close), http=LimitedProtocol, ws="none", log_config=None, access_log=False,
        server_header=False, timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
        ssl_certfile=options.certificate, ssl_keyfile=options.key,
    )  # fmt: skip
    with listen(options.host, options.port) as listener:
        # uvicorn ends cleanly on SIGTERM and then raises it again, for this handler
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        announce(listener, name, options.certificate is not None)
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def local_worker(teacher: TeacherOptions, options: argparse.Namespace, on_batch: Callable[[int], None]) -> Any:
    """One teacher in this process."""
    from ...teachers import load
    from .worker import TeacherWorker

    chosen = WorkerOptions(options.waiting, options.batch, options.batch_wait / 1000)
    return TeacherWorker(load(teacher, options.threads or os.cpu_count() or 1), chosen, on_batch)


def ray_fleet(teacher: TeacherOptions, options: argparse.Namespace, on_batch: Callable[[int], None]) -> Any:
    """Replicas on Ray Serve."""
    from .fleet import Fleet, FleetOptions

    most = options.replicas[1]
    chosen = FleetOptions(
        replicas=options.replicas, batch=options.batch, batch_wait=options.batch_wait / 1000, gpus=options.gpus,
        threads=options.threads or max((os.cpu_count() or 1) // most, 1), waiting=options.waiting,
        address=options.ray_address,
    )  # fmt: skip
    try:
        return Fleet(teacher, chosen, on_batch)
    except ImportError as error:
        raise missing_package(error, "ray") from error


def missing_package(error: ImportError, extra: str) -> BackendUnavailable:
    return BackendUnavailable(
        f'jm-teacher needs {error.name}, which is not installed; pip install "jit-masker[{extra}]"'
    )


def check_exposure(host: str, token: str | None, certificate: str | None) -> None:
    """Refuse to serve other machines without a token.

    Raises
    ------
    UsageError
        `host` is not this machine and there is no token.
    """
    if is_loopback(host):
        return
    if not token:
        raise UsageError(f"--host {host} can be reached by other machines; set {TOKEN}, which callers have to send")
    if certificate is None:
        log.warning(
            "the token and the pictures travel unencrypted; give --certificate and --key, or put a proxy with TLS in "
            "front"
        )


def model_name(teacher: str) -> str:
    """The model's name in URLs: a teacher's own, or its file's without the ending."""
    name = Path(teacher).stem if teacher.endswith(".toml") else teacher
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise UsageError(f"{name!r} cannot stand in a URL; give --name")
    return name


def listen(host: str, port: int) -> socket.socket:
    """A listening socket at `host`; port 0: the system chooses. UsageError where that is impossible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {host}:{port}: {error.strerror}; choose another --host or --port"
        ) from error


def announce(listener: socket.socket, name: str, encrypted: bool) -> None:
    """Print the model's URL on standard output; from then on it can be used."""
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    print(f"http{'s' * encrypted}://{host}:{port}/v2/models/{name}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "jm-teacher",
        description="Serve a teacher to other machines, over the Open Inference Protocol v2. The first line of "
        "standard output is the URL for `jm-engine --teacher`. A token that callers have to send is taken from "
        f"{TOKEN}.",
    )
    add = parser.add_argument
    teachers = "rvm, u2net, u2netp, mrcnn50, yolo-seg, yolo-seg-small, or a .toml that describes an ONNX segmenter"
    add("teacher", metavar="TEACHER", help=teachers)
    add("--name", help="of the model in the URL (default: the teacher's)")
    add("--who", choices=STATELESS, default="all", help="whom labels keep (default: all)")
    add("--host", default=HOST, help=f"address to listen at (default: {HOST}, this machine only)")
    add("--port", type=int, default=PORT, help=f"0 lets the system choose (default: {PORT})")
    add("--certificate", metavar="FILE", help="PEM, with the chain: serve https")
    add("--key", metavar="FILE", help="PEM, the certificate's key")
    _add_limits(add)
    _add_fleet(add)
    add("-v", "--verbose", action="store_true", help="say more on standard error")
    return parser


def _add_limits(add: Any) -> None:
    limits, queue = Limits(), WorkerOptions()
    add("--threads", type=positive, help="of the teacher, of each replica with --ray (default: all cores, shared)")
    add("--max-bytes", type=positive, default=limits.body, help="of a request (default: %(default)s)")
    add("--max-pixels", type=positive, default=limits.pixels, help="of a picture (default: %(default)s)")
    add("--waiting", type=positive, default=queue.waiting, help="requests waiting, then 503 (default: %(default)s)")
    add("--batch", type=positive, default=queue.batch, help="frames labelled together, at most (default: %(default)s)")
    add(
        "--batch-wait", type=float, default=1000 * queue.batch_wait, metavar="MS",
        help="an idle teacher waits so long for more frames (default: %(default)s)",
    )  # fmt: skip


def _add_fleet(add: Any) -> None:
    add("--ray", action="store_true", help="replicas on Ray Serve, for many callers")
    add("--ray-address", metavar="ADDRESS", help="of a Ray cluster (default: one is started, for this machine)")
    add("--replicas", type=replica_range, default=(1, 1), metavar="N[:M]", help="at least N, at most M (default: 1)")
    add("--gpus", type=float, default=0.0, help="for each replica; a share is allowed (default: 0)")


def replica_range(text: str) -> tuple[int, int]:
    """The minimum and the maximum in "2" or "1:4"."""
    least, _, most = text.partition(":")
    pair = positive(least), positive(most or least)
    if pair[0] > pair[1]:
        raise ValueError
    return pair


def positive(text: str) -> int:
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
