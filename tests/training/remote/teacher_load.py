"""Many callers of one teacher, as Algorithm 1 calls it:

    python -m tests.training.remote.teacher_load URL --callers 16 --seconds 60.

Each caller is a thread with frames at 25 fps and a schedule of its own (δ from 8 to 64 frames); it learns nothing, its
scores are drawn by lot: --good 0 keeps every δ at 8, --good 0.6 lets most come to 64. Prints one JSON line: labels per
second, latency, failures by kind, and the server's batches.
"""

import argparse
import http.client
import json
import os
import random
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import numpy as np

from engine.errors import TeacherError
from engine.sources.synthetic import SyntheticPerson
from engine.teacher_options import TeacherOptions
from training.online.schedule import Operation, Schedule
from training.remote.client import RemoteTeacher

FPS = 25.0


def call(options, number, end, good, results):
    teacher, schedule, lot = RemoteTeacher(options), Schedule(), random.Random(number)
    figure, frame = SyntheticPerson(width=640, height=480, seed=number), 0
    began = time.perf_counter() + lot.random()  # callers do not start together
    latencies, deltas = [], []
    while time.perf_counter() < end:
        frame = max(frame + 1, int((time.perf_counter() - began) * FPS))  # what came meanwhile is skipped, as live
        time.sleep(max(began + frame / FPS - time.perf_counter(), 0))
        operation = schedule.next()
        if operation is Operation.TEACH:
            asked = time.perf_counter()
            try:
                teacher(figure.picture(frame))
                latencies.append(time.perf_counter() - asked)
            except TeacherError:
                pass  # counted by kind
        if operation is not Operation.REST:
            score = 1.0 if lot.random() < good else 0.5
            (schedule.labelled if operation is Operation.TEACH else schedule.report)(score)
            deltas.append(schedule.delta)
    results.append((latencies, deltas, teacher.traffic()))
    teacher.close()


def batches(url):
    """The server's mean batch, per frame, and how many frames were labelled in batches of at most 1, 2, 4 …"""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    token = os.environ.get("JM_TEACHER_TOKEN")
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"} if token else {})
    lines = dict(
        line.rsplit(" ", 1) for line in connection.getresponse().read().decode().splitlines() if line[0] != "#"
    )
    connection.close()
    count = float(lines["jm_teacher_batch_count"])
    at_most = {k.split('"')[1]: float(v) for k, v in lines.items() if k.startswith("jm_teacher_batch_bucket")}
    return {"mean": round(float(lines["jm_teacher_batch_sum"]) / count, 2) if count else None, "at_most": at_most}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--good", type=float, default=0.3, help="share of scores at the target (%(default)s)")
    parser.add_argument("--deadline", type=float, default=4.0)
    arguments = parser.parse_args()
    options = TeacherOptions(arguments.url, deadline=arguments.deadline, token=os.environ.get("JM_TEACHER_TOKEN"))
    results, end = [], time.perf_counter() + arguments.seconds
    threads = [
        threading.Thread(target=call, args=(options, i, end, arguments.good, results)) for i in range(arguments.callers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latencies = np.array([latency for per_caller, *_ in results for latency in per_caller]) * 1000
    p50, p95 = np.percentile(latencies, (50, 95)) if len(latencies) else (None, None)
    summary = {
        "callers": arguments.callers,
        "mean_delta": round(float(np.mean([delta for _, deltas, _ in results for delta in deltas])), 1),
        "labels_per_s": round(len(latencies) / arguments.seconds, 2),
        "latency_ms": {"p50": p50 and round(p50, 1), "p95": p95 and round(p95, 1)},
        "failures": dict(sum((Counter(wire["failures"]) for *_, wire in results), Counter())),
        "bytes_per_label": round(
            sum(w["sent_bytes"] + w["received_bytes"] for *_, w in results) / max(len(latencies), 1)
        ),
        "batches": batches(arguments.url),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
