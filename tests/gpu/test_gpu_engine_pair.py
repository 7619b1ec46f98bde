"""Refit an idle engine, check it, swap: with engines that do what a script says."""

import gc

import pytest

from engine.backends.engine_pair import MAX_FAILED_REFITS, EnginePair, RefitPolicy, Step
from engine.errors import CandidateRejected, GpuFault, ModelError


class ScriptedEngine:
    """Computes with the weights it was given, unless the script of its maker says something else."""

    def __init__(self, weights, half):
        self.weights, self.half, self.made_of = weights, half, weights


class ScriptedBackend:
    def __init__(self, engine):
        self.engine = engine

    def run(self):
        return self.engine.weights


class EngineBuilder:
    """Builds and refits; keeps a list of what it did. What is in `wrong` or `fails` goes wrong."""

    def __init__(self, wrong=(), fails=()):
        self.done, self.wrong, self.fails = [], set(wrong), set(fails)
        self.pair = EnginePair(RefitPolicy(), self.build, self.refit, ScriptedBackend)

    def build(self, weights, half):
        self._do("half" if half else "full", weights)
        return ScriptedEngine("nonsense" if self.done[-1][0] in self.wrong else weights, half)

    def refit(self, engine, weights):
        engine.weights = "half refitted"  # what a refit that stops midway leaves behind
        self._do("refit", weights)
        engine.weights = "nonsense" if "refit" in self.wrong else weights

    def _do(self, what, weights):
        self.done.append((what, weights))
        if what in self.fails:
            raise ModelError(f"{what} broke")

    def publish(self, weights):
        def check(backend):
            if backend.run() != weights:
                raise CandidateRejected(f"answers {backend.run()}")

        return self.pair.create(weights, check)


def live_with_an_idle_engine(builder):
    """Two students published, one after the other: the second paints, the first one's engine is idle."""
    first = builder.publish("a")
    live = builder.publish("b")
    del first
    gc.collect()
    builder.done.clear()
    return live


def test_the_first_students_are_built_and_from_then_on_the_idle_engine_is_refitted():
    builder = EngineBuilder()
    live = None
    for weights in "abcde":
        live = builder.publish(weights)  # rebinding frees the one before: its engine is idle
        assert live.run() == weights
    assert [what for what, _ in builder.done] == ["half", "half", "refit", "refit", "refit"]


def test_the_one_that_paints_is_never_touched_while_the_other_is_refitted():
    builder = EngineBuilder()
    live = live_with_an_idle_engine(builder)
    following = builder.publish("c")
    assert (live.run(), following.run()) == ("b", "c")
    assert live.engine is not following.engine


@pytest.mark.parametrize("how", ["wrong", "fails"])
def test_a_failed_refit_keeps_the_live_one_and_an_engine_is_built_of_the_same_weights(how, caplog):
    builder = EngineBuilder()
    live = live_with_an_idle_engine(builder)
    getattr(builder, how).add("refit")
    following = builder.publish("c")
    assert builder.done == [("refit", "c"), ("half", "c")]
    assert (live.run(), following.run()) == ("b", "c")
    assert "refitting the idle engine failed" in caplog.text
    assert "building an engine" in caplog.text


def test_an_engine_that_failed_its_refit_is_not_used_again():
    builder = EngineBuilder(fails=["refit"])
    live = live_with_an_idle_engine(builder)
    live = builder.publish("c")
    engines = [engine for engine, _ in builder.pair._engines]
    assert all(engine.weights in ("b", "c") for engine in engines)
    assert live.run() == "c"


def test_refits_that_keep_failing_are_given_up():
    builder = EngineBuilder(wrong=["refit"])
    live = live_with_an_idle_engine(builder)
    for weights in "cdefg":
        live = builder.publish(weights)
        assert live.run() == weights
    assert [what for what, _ in builder.done].count("refit") == MAX_FAILED_REFITS
    assert not builder.pair.policy.refits


def test_half_precision_that_disagrees_gives_way_to_single_precision_for_good():
    builder = EngineBuilder(wrong=["half"])
    live = [builder.publish("a")]
    live.append(builder.publish("b"))
    assert all(not backend.engine.half for backend in live)
    assert [what for what, _ in builder.done] == ["half", "full", "full"]


def test_weights_that_no_engine_computes_are_refused_and_blame_nothing_else():
    builder = EngineBuilder()
    live = live_with_an_idle_engine(builder)
    builder.wrong |= {"refit", "half", "full"}
    with pytest.raises(CandidateRejected, match="answers nonsense"):
        builder.publish("c")
    assert live.run() == "b"
    assert (builder.pair.policy.fp16, builder.pair.policy.refits) == (True, True)
    builder.wrong.clear()
    assert builder.publish("d").run() == "d"


def test_a_card_that_fails_refuses_the_student_and_learning_may_go_on():
    builder = EngineBuilder()
    builder.pair._build = lambda *_: (_ for _ in ()).throw(GpuFault("CUDA error 2: out of memory"))
    with pytest.raises(CandidateRejected, match="no engine could be made: CUDA error 2"):
        builder.publish("a")


def test_a_failure_is_told_once(caplog):
    builder = EngineBuilder(wrong=["refit"])
    live = live_with_an_idle_engine(builder)
    for weights in "cde":
        live = builder.publish(weights)
    assert live.run() == "e"
    assert len(caplog.records) == 1


def test_many_students_make_no_more_than_two_engines():
    builder = EngineBuilder()
    live = None
    for i in range(50):
        live = builder.publish(i)
        assert len(builder.pair._engines) <= 2
    assert builder.pair.in_use == 1
    assert live.run() == 49


def test_the_policy_is_a_table():
    policy = RefitPolicy()
    assert policy.first_step(idle=False) is Step.BUILD_FP16
    assert policy.first_step(idle=True) is Step.REFIT
    assert policy.next_step(Step.REFIT) is Step.BUILD_FP16
    assert policy.next_step(Step.BUILD_FP16) is Step.BUILD_FP32
    assert policy.next_step(Step.BUILD_FP32) is Step.GIVE_UP
    assert RefitPolicy(fp16=False).first_step(idle=False) is Step.BUILD_FP32
    assert RefitPolicy(refits=False).first_step(idle=True) is Step.BUILD_FP16
