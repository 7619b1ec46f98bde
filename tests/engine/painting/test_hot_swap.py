"""A student that fails is left, and never takes the place of a newer one."""

import threading

from engine.backends import BACKENDS
from engine.backends.ort_cpu import OrtCpu
from engine.painting.hot_swap import MAX_FAILURES, HotSwap
from export.publish import Publisher, load_student


def test_the_start_is_not_loaded_over_a_newer_student_that_waits(monkeypatch):
    """The newer one is being built while the current one fails; the start was asked for a moment before."""
    weights = load_student("lite", (64, 64))
    publisher = Publisher(weights, (64, 64))
    start, newer = (publisher.publish(dict(weights.tensors)) for _ in range(2))
    built, go_on = threading.Event(), threading.Event()

    class Slow(OrtCpu):
        def __init__(self, model, threads=1):
            if threading.current_thread().name == "learner":
                built.set()
                go_on.wait(30)
            super().__init__(model, threads)

    monkeypatch.setitem(BACKENDS, "slow", lambda: Slow)
    swap = HotSwap("slow", start, 1)
    learner = threading.Thread(target=swap.swap, args=(newer,), name="learner")
    learner.start()
    built.wait(30)
    rebuild = threading.Thread(target=swap._rebuild_start, args=(swap.current,))
    rebuild.start()
    go_on.set()
    learner.join(30)
    rebuild.join(30)
    assert swap.adopt().version == newer.version
    assert swap.rollbacks == 0


def test_one_odd_frame_is_no_reason_to_leave_a_student():
    weights = load_student("lite", (64, 64))
    publisher = Publisher(weights, (64, 64))
    swap = HotSwap("ort-cpu", publisher.publish(dict(weights.tensors)), 1)
    swap.swap(publisher.publish(dict(weights.tensors)))
    current = swap.adopt()
    for _ in range(3):
        for _ in range(MAX_FAILURES - 1):
            swap.failed()
        swap.answered()
    assert swap.current is current
    swap.close()
