"""What a jm-teacher counts, for Prometheus. One registry per server: nothing global."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12)  # buckets

BATCHES = (1, 2, 4, 8, 16, 32)  # buckets


class Metrics:
    content_type = CONTENT_TYPE_LATEST

    def __init__(self, waiting: Callable[[], float]):
        """`waiting` returns how many requests wait for the teacher or are in work."""
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "jm_teacher_requests", "Inference requests by status.", ["status"], registry=self._registry
        )
        self.received = Counter("jm_teacher_received_bytes", "Bodies of inference requests.", registry=self._registry)
        self.sent = Counter("jm_teacher_sent_bytes", "Bodies of inference answers.", registry=self._registry)
        self.label_seconds = Histogram(
            "jm_teacher_label_seconds", "Waiting and labelling.", buckets=SECONDS, registry=self._registry
        )
        self.request_seconds = Histogram(
            "jm_teacher_request_seconds", "A whole request.", buckets=SECONDS, registry=self._registry
        )
        self.batch = Histogram(
            "jm_teacher_batch", "Frames labelled together, for each frame.", buckets=BATCHES, registry=self._registry
        )
        Gauge("jm_teacher_waiting", "Requests waiting or in work.", registry=self._registry).set_function(waiting)

    def page(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)
