"""Teachers on 127.0.0.1: a server that follows a script, good or bad, and a real jm-teacher in its own process."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass

import numpy as np

from training.remote import oip_v2
from training.remote.server.model import model_metadata

METADATA = model_metadata("thing")
PATH = "/v2/models/thing"


@dataclass
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: dict  # names in lower case
    body: bytes

    @property
    def tensors(self):
        return oip_v2.decode_request(self.body, self.headers.get(oip_v2.HEADER.lower()))


def http(body, status="200 OK", headers=()):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def label_answer(request, label, id=None):
    """A good answer: `label` as the only output that was asked for."""
    asked = request.tensors
    response = oip_v2.Response({asked.outputs[0].name: label}, asked.id if id is None else id, "thing")
    body, length = oip_v2.encode_response(response, [asked.outputs[0].name])
    return http(body, headers=[f"{oip_v2.HEADER}: {length}"])


class ScriptedServer:
    """Answers metadata by itself and inference by `script`: each entry is bytes to send, or a function of (socket,
    Received) that does what it likes and returns whether the connection goes on. At the script's end labels are good.
    """

    def __init__(self, metadata=METADATA, label=None):
        self.metadata = metadata
        self.label = np.full((6, 8), 255, np.uint8) if label is None else label
        self.script = []
        self.requests = []
        self.connections = 0
        self.release = threading.Event()  # for those who hang
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}{PATH}"

    @property
    def inferences(self):
        return [r for r in self.requests if r.method == "POST"]

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if self.release.is_set():
                connection.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while (request := self._read(stream)) is not None:
                    self.requests.append(request)
                    if not self._answer(connection, request):
                        return
            except OSError:
                return

    def _read(self, stream):
        first = stream.readline().decode()
        if not first:
            return None
        method, path, _ = first.split(" ", 2)
        headers = {}
        while line := stream.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Received(method, path, headers, stream.read(int(headers.get("content-length", 0))))

    def _answer(self, connection, request):
        if request.method == "GET":
            connection.sendall(http(json.dumps(self.metadata).encode()))
            return True
        step = self.script.pop(0) if self.script else label_answer(request, self.label)
        if callable(step):
            return step(connection, request)
        connection.sendall(step)
        return True

    def hang(self, connection, request):
        """A step of the script: no answer while the server lives."""
        self.release.wait(60)
        return False

    def close(self):
        self.release.set()
        port = self._socket.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()  # accept() wakes up
        self._threads[0].join()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ClosingServer(ScriptedServer):
    """Closes the connection after every response, as HTTP/1.1 allows; says so, or sends no length, or both."""

    def __init__(self, close, length):
        self._close, self._length = close, length
        super().__init__()

    def _answer(self, connection, request):
        body = json.dumps(self.metadata).encode()
        response = http(body) if request.method == "GET" else label_answer(request, self.label)
        head, _, body = response.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if self._length or not line.startswith(b"Content-Length:")]
        connection.sendall(b"\r\n".join([*lines, *[b"Connection: close"] * self._close, b"", body]))
        return False


class ServedTeacher:
    """Any teacher behind jm-teacher's application, with uvicorn in a thread of this process."""

    def __init__(self, teacher, **options):
        import uvicorn

        from training.remote.server.app import Service, build
        from training.remote.server.connections import LimitedProtocol
        from training.remote.server.metrics import Metrics
        from training.remote.server.model import Limits
        from training.remote.server.worker import TeacherWorker, WorkerOptions

        self.worker = TeacherWorker(teacher, WorkerOptions(**options))
        metrics = Metrics(lambda: self.worker.waiting)
        service = Service("thing", self.worker.label, Limits(), None, metrics, self.worker.healthy)
        config = uvicorn.Config(
            build(service, self.worker.close), http=LimitedProtocol, ws="none", log_config=None,
            timeout_keep_alive=60,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{PATH}"
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join()


class TeacherProcess:
    """`jm-teacher` with `arguments`, in a process of its own, from the moment it can be asked."""

    def __init__(self, *arguments, port=0, token=None):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment.pop("JM_TEACHER_TOKEN", None)
        if token:
            environment["JM_TEACHER_TOKEN"] = token
        command = [sys.executable, "-m", "training.remote.server.cli", *map(str, arguments), "--port", str(port)]
        self.process = subprocess.Popen(
            [*command, "--threads", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(self.process.communicate()[1])

    @property
    def port(self):
        return int(self.url.split(":")[2].split("/")[0])

    def kill(self):
        """At once, as a crash would."""
        self.process.kill()
        self.process.communicate()

    def stop(self):
        """As a service manager would; returns the exit code and what was said on standard error."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
