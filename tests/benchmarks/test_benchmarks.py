"""The benches run, and compare like with like: a bench that nobody runs is broken by the next change.

No time is tested; where a stage has to hold a step, the clock is one that the steps move.
"""

import dataclasses
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

import kernels
from benchmarks import paint, peers, table3
from benchmarks.cli import BENCHES, main
from benchmarks.harness import evaluation
from benchmarks.harness.liar import WHEN, Liar
from benchmarks.harness.sheets import HEIGHT
from engine import Masker
from engine.errors import ModelError, UsageError
from engine.sources.synthetic import SyntheticPerson
from tests.clips import figure_clip, write_clip
from tests.toml_teacher import write_teacher
from tests.training.test_teachers import tiny_segmenter
from training.online.plausibility import MAX_REFUSALS
from training.teachers import TEACHERS

FRAMES, CUT = 16, 8
FIGURE = {"width": 160, "height": 120, "cut": CUT}
OF_A_CLIP = ("table2", "fig3", "accuracy")  # benches that paint at --pace


@pytest.fixture
def bench(capsys, tmp_path):
    """Runs jm-bench; returns its JSON."""

    def run(*arguments, code=0):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == code
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


class Threshold:
    """A peer and a teacher in one: everything brighter than the middle is a person."""

    settings, remembers = "none", False

    def __init__(self, threads=1):
        pass

    def __call__(self, bgr):
        return (cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY) > 127).astype(np.float32)


class Absent:
    def __init__(self, threads=1):
        raise ModelError("no weights; get them from the moon")


class Blinking(Threshold):
    """Everybody is a person, on every second frame by a fifth less."""

    remembers = True
    calls = 0

    def __call__(self, bgr):
        self.calls += 1
        return np.full(bgr.shape[:2], 0.8 if self.calls % 2 else 1.0, np.float32)


@pytest.fixture
def bright(monkeypatch):
    """Threshold as the reference and as a teacher that needs no file."""
    for name in ("rvm", "bright"):
        monkeypatch.setitem(TEACHERS, name, lambda: Threshold)
    return "bright"


@pytest.fixture
def difference(tmp_path):
    """A teacher that a process of its own can load."""
    return str(write_teacher(tmp_path, np.zeros((120, 160, 3), np.uint8)))


@pytest.fixture
def stage(tmp_path, monkeypatch, bright):
    """A clip with a manifest and three peers; none of them downloads or weighs anything."""
    folder = tmp_path / "clips"
    folder.mkdir()
    figure_clip(folder / "one.mp4", FRAMES, **FIGURE)
    manifest = tmp_path / "set.toml"
    manifest.write_text(
        f'title = "toy"\n[[clip]]\nname = "one"\nfile = "one.mp4"\ndifficulty = "medium"\ncuts = [{CUT}]\n'
    )
    for name, fake in {"same": Threshold, "absent": Absent, "blinking": Blinking}.items():
        monkeypatch.setitem(peers.PEERS, name, lambda fake=fake: fake)
    return ["--clips", str(folder), "--manifest", str(manifest), "--teacher", "none"]


@pytest.fixture
def lockstep(stage):
    return [*stage, "--pace", "lockstep"]


# -- the paint path, in stages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("student", ["lite", "jitnet"])
def test_every_kernel_and_the_whole_path_is_timed(student, bench, tmp_path):
    result = bench("kernels", "--student", student, "--height", "120", "--repeats", "2")
    ms = result["ms"]["160x120"]
    steps = {field.name for field in dataclasses.fields(kernels.Kernels)} - {"name", "reason"}
    assert ms.keys() >= steps | {"student", "paint path", "copy floor"}
    assert ms.keys() >= {f"opencv: {step}" for step in steps}
    assert ms["ratio"] > 0
    rows = [line.split(",") for line in (tmp_path / "out" / "kernels.csv").read_text().splitlines()[1:]]
    p50 = {name: float(cell) for name, cell, *_ in rows}
    whole, *_ = (p50.pop(name) for name in ("paint path", *paint.ASIDE))
    assert "unaccounted" in p50
    assert sum(p50.values()) == pytest.approx(whole)


@pytest.fixture
def noting():
    """Makes a function note its name where it is called; `names`, in order."""

    def noting(name, function):
        def note(*arguments):
            noting.names.append(name)
            return function(*arguments)

        return note

    noting.names = []
    return noting


@pytest.fixture
def called(monkeypatch, noting):
    """The names of the kernels that ours calls, in order."""
    real = kernels.load()
    steps = {f.name: getattr(real, f.name) for f in dataclasses.fields(real) if f.name not in ("name", "reason")}
    noted = dataclasses.replace(real, **{name: noting(name, kernel) for name, kernel in steps.items()})
    monkeypatch.setattr(kernels, "load", lambda wait=True: noted)
    return noting.names


def test_whatever_is_done_after_the_student_answered_is_output(called, noting, monkeypatch):
    monkeypatch.setattr(table3, "perf_counter", lambda: float(len(called)))  # s: a kernel or the student moves it
    with Masker("ort-cpu", None, "#204060", threads=1, min_area=0.0) as masker:
        masker.live.backend.run = noting("student", masker.live.backend.run)
        paint_one = table3.our_way(masker, SyntheticPerson(width=160, height=120).picture(0))
        called.clear()
        ms = table3.one_frame(paint_one, None)()
    assert called.count("preprocess") == 1
    assert {"local_colours", "estimate_foreground", "composite"} <= set(called)
    assert ms == {"preprocess": 1e3, "student": 1e3, "output": 1e3 * (len(called) - 2), "all": 1e3 * len(called)}


def test_the_person_is_painted_in_both_ways_even_where_nobody_is_there(called, bench, tmp_path):
    """The authors' way blends every frame; ours would have less to do where the empty rule left the person out."""
    clip = write_clip(tmp_path / "clip.mp4", [np.zeros((120, 160, 3), np.uint8)] * 42)
    bench("table3", "--clip", clip, "--repeats", "1")
    assert called.count("composite") == called.count("smooth_alpha") > 0


def test_the_rows_of_table3_add_up_to_the_whole(bench, tmp_path):
    clip = figure_clip(tmp_path / "clip.mp4", 42, width=160, height=120)
    result = bench("table3", "--clip", clip, "--repeats", "3")
    rows = (tmp_path / "out" / "table3.csv").read_text().splitlines()[1:]
    cells = {row[0]: (float(row[2]), float(row[5])) for row in (row.split(",") for row in rows)}
    assert list(cells) == ["camera", "preprocess", "student", "output", "unaccounted", "all"]
    for side in (0, 1):
        parts = [cell[side] for stage, cell in cells.items() if stage != "all"]
        assert sum(parts) == pytest.approx(cells["all"][side])
    assert result["ms"].keys() == {"camera", "preprocess", "student", "output", "all"}


# -- learning beside the picture -----------------------------------------------------------------------------------


def test_learning_is_compared_with_none_at_the_same_paint_threads(bench, difference, monkeypatch):
    budgets = []
    close = Masker.close
    monkeypatch.setattr(Masker, "close", lambda self: (budgets.append(self.threads), close(self)))
    rows = bench("interference", "--teacher", difference, "--frames", "6", "--rounds", "1")["interference"]
    assert [(b.paint, b.learn) for b in budgets] == [(1, 0), (1, 1), (1, 1), (1, 1), (2, 0), (2, 1), (2, 1), (2, 1)]
    expected = [(paint, kind) for paint in (1, 2) for kind in ("off", "on", "on, a thread", "teacher stalls 2 s")]
    assert [(row["paint threads"], row["learning"]) for row in rows] == expected
    assert all(row["paint p50"] > 0 for row in rows)
    assert not [name for name in TEACHERS if "stalls" in name]  # it is this bench's alone


def test_swap_counts_what_was_published_and_what_was_adopted(bench):
    result = bench("swap", "--swaps", "3")
    assert (result["swaps"], result["adopted"]) == (3, 3)


def test_a_student_that_is_never_adopted_fails_the_swap_bench(bench, monkeypatch):
    monkeypatch.setattr(Masker, "swap", lambda self, published: None)
    assert bench("swap", "--swaps", "3", code=1)["adopted"] == 0


def test_a_soak_counts_frames_faults_and_memory(bench, bright):
    result = bench("soak", "--teacher", bright, "--minutes", "0.05")
    assert result["frames"] > 0
    assert (result["faults"], result["died"]) == (0, None)
    assert result["resident_mb"][-1] > 1


def test_a_call_runs_engine_and_panel_and_reads_what_is_sent(bench):
    pytest.importorskip("starlette", reason='jm-teacher is not installed: pip install "jit-masker[serve]"')
    result = bench("call", "--teacher", "none", "--minutes", "2", "--seconds", "3")
    assert [minute["background"] for minute in result["minutes"]] == ["#00b140", "blur"]
    assert all(minute["frames/s"] > 1 and minute["panel MB"] > 1 for minute in result["minutes"])
    assert all(minute["poster read"].startswith("0 of") for minute in result["minutes"])
    assert (result["report"]["ended"], result["report"]["faults"]) == ("ok", 0)


def test_memory_is_measured_in_a_process_of_its_own(bench):
    peak = bench("memory", "test://?width=64&height=48&frames=4", "--teacher", "none", "--frames", "2")["peak_mb"]
    assert peak["lite, teacher none"] > peak["import engine"] > 1


# -- clips ---------------------------------------------------------------------------------------------------------


def test_table2_scores_whoever_is_there_and_says_how_to_get_the_others(bench, lockstep, tmp_path):
    result = bench("table2", *lockstep, "--peers", "same", "absent", "--timed", "6")
    methods = result["methods"]
    assert methods["same"]["iou_acc"] == 1.0
    assert methods["same"]["period_ms"] > 0
    assert "absent" not in methods
    assert methods["jit-masker"]["iou_acc"] == methods["no learning"]["iou_acc"] < 1  # nobody teaches here
    assert methods["jit-masker"]["clips"]["one"]["report"]["paint_path_ms"]["p50"] > 0
    text = (tmp_path / "out" / "table2.md").read_text()
    assert "get them from the moon" in text
    rows = cv2.imread(str(tmp_path / "out" / "sheet-one.jpg")).shape[0] / HEIGHT
    assert rows == 3  # the frame, the label, ours


def test_fig3_and_fig4_group_clips_by_difficulty(bench, lockstep, tmp_path):
    assert bench("fig3", *lockstep, "--peers", "same")["metrics"]["same: medium, lockstep"]["values"] == [1.0]
    arguments = [word for word in lockstep if word not in ("--pace", "lockstep")]
    assert bench("fig4", *arguments, "--peers", "same", "--timed", "6")["metrics"]["same: medium, live"]["unit"] == "ms"
    for figure in ("fig3", "fig4"):
        assert (tmp_path / "out" / f"{figure}.png").is_file()


def test_accuracy_follows_every_cut_to_the_end(bench, lockstep, tmp_path):
    (cut,) = bench("accuracy", *lockstep, "--peers", "same")["cuts"]
    assert cut["frame"] == CUT
    assert cut["iou_acc"]["same"] == [1.0] * (FRAMES - CUT)
    assert min(cut["iou_acc"]["no learning"]) < 1
    assert "| median of 1 | - |" in (tmp_path / "out" / "accuracy.md").read_text()


def test_passes_paints_every_clip_with_one_pass_and_with_two(bench, stage, tmp_path):
    result = bench("passes", *stage)
    assert all(0 < score <= 1 for score in (*result["first"], *result["whole"]))
    assert all(seconds > 0 for seconds in result["s_per_minute"])
    assert "takes" in (tmp_path / "out" / "passes.md").read_text()


def test_profile_judges_start_and_profile_on_what_was_never_kept(bench, stage, rvm, monkeypatch):
    """The clips are too short for a profile, so the start stands for it."""
    from benchmarks import personal

    monkeypatch.setattr(personal, "LEAST", 1)
    monkeypatch.setattr(personal, "VISITS", 2)
    mean = bench("profile", *stage[:-2])["mean"]
    assert 0 < mean["start"] <= 1
    assert mean["profile"] == mean["start"]


def test_accuracy_knows_a_perfect_peer_and_one_that_flickers(bench, lockstep):
    clip = bench("accuracy", *lockstep, "--peers", "same", "blinking")["clips"]["one"]
    assert clip.keys() == {"jit-masker", "no learning", "same", "blinking"}
    same, blinking = clip["same"], clip["blinking"]
    assert (same["mean"], same["edges"], same["sad"], same["gradient"]) == (1.0, 1.0, 0.0, 0.0)
    assert same["flicker"] == pytest.approx(same["teacher flicker"])
    assert blinking["flicker"] == pytest.approx(255 * 0.2)
    assert blinking["mean"] < 1


# -- learning against not learning ---------------------------------------------------------------------------------


@pytest.fixture
def davis_folder(tmp_path):
    """Two sequences of a SyntheticPerson; one has the name of a sequence without people."""
    figure = SyntheticPerson(width=160, height=120, seed=87)
    for name in ("camel", "someone"):
        for kind, image in (("JPEGImages", figure.picture), ("Annotations", figure.mask)):
            folder = tmp_path / "davis" / kind / "480p" / name
            folder.mkdir(parents=True)
            for i in range(4):
                cv2.imwrite(str(folder / f"{i:05d}.{'jpg' if kind == 'JPEGImages' else 'png'}"), image(i))
    return ["--clips", str(tmp_path / "davis")]


def test_davis_holds_learning_against_masks_and_where_there_are_none_against_the_teacher(
    bench, davis_folder, bright, tmp_path
):
    found = bench("davis", *davis_folder, "--teacher", bright, "--passes", "2")["sequences"]
    assert list(found) == ["someone", "camel"]
    assert (found["someone"]["has_person"], found["camel"]["has_person"]) == (True, False)
    assert found["someone"]["still"] != found["camel"]["still"]  # the same pictures, another truth
    assert found["camel"]["teacher"] == 1.0
    for sequence in found.values():
        assert len(sequence["passes"]) == 2
        assert sequence["difference"] == pytest.approx(min(sequence["passes"]) - sequence["still"])
        assert sequence["counts"]["calls"] >= 1
    assert "| worst difference to not learning" in (tmp_path / "out" / "davis.md").read_text()


def test_davis_runs_the_sequences_it_is_told_and_says_which_there_are(bench, davis_folder, bright, capsys):
    found = bench("davis", *davis_folder, "--teacher", "bright", "--sequences", "camel", "--quick")["sequences"]
    assert list(found) == ["camel"]
    assert main(["davis", *davis_folder, "--sequences", "nobody"]) == UsageError.exit_code
    assert "choose of camel, someone" in capsys.readouterr().err


def test_conditions_paints_both_sides_on_what_can_be_made_of_the_clips(bench, stage, masks, tmp_path, bright):
    videos, rooms = str(tmp_path / "clips"), str(tmp_path / "set" / "images")
    stage[stage.index("--teacher") + 1] = bright
    result = bench("conditions", *stage, "--videos", videos, "--rooms", rooms, "--frames", "12")
    found = result["conditions"]
    assert list(found) == ["lamp, one", "exposure, one", "pan, one", "small person, one", "one"]
    for curves in found.values():
        assert curves["frames"] == [0, 5, 10]
        assert len(curves["learning"]) == len(curves["still"]) == 3
    assert found["one"]["cuts"] == [CUT]
    worst = min(np.mean(c["learning"]) - np.mean(c["still"]) for c in found.values())
    assert result["metrics"]["worst difference of means"]["values"] == [pytest.approx(worst, abs=1e-5)]
    assert (tmp_path / "out" / "conditions.png").is_file()


@pytest.fixture
def red(tmp_path):
    """A teacher on file, which a server can load too: sigmoid of the red channel."""
    return str(tiny_segmenter(tmp_path))


def test_a_lie_is_told_here_and_by_a_server_and_refused_labels_are_counted(bench, stage, red):
    pytest.importorskip("uvicorn", reason='jm-teacher is not installed: pip install "jit-masker[serve]"')
    stage[stage.index("--teacher") + 1] = red
    result = bench("lies", *stage, "--quick", "--lies", "inverse", "--lie-frames", "10")
    told = [(row["route"], row["lie"], row["when"]) for row in result["lies"] if row["labels"]]
    assert told[:5] == [
        ("local", "honest", ""), ("local", "inverse", "for ever"), ("local", "inverse", "the first"),
        ("remote", "honest", ""), ("remote", "inverse", "for ever"),
    ]  # fmt: skip
    (honest,) = {row["refused"] for row in result["lies"] if (row["route"], row["lie"]) == ("local", "honest")}
    assert 1 <= honest <= MAX_REFUSALS  # this teacher calls the whole frame a person
    assert result["metrics"]["honest labels refused"]["values"] == [honest]


@pytest.mark.parametrize("when", WHEN)
def test_a_liar_lies_when_it_is_told_to_and_is_honest_otherwise(when):
    frame = SyntheticPerson(width=160, height=120).picture(0)
    liar, honest = Liar(Threshold(), "inverse", when), Threshold()(frame)
    lied = [bool((liar(frame) == 1 - honest).all()) for _ in range(6)]
    assert [i for i, lie in enumerate(lied) if lie] == {"for ever": [*range(6)], "the first": [0], "the fifth": [4]}[
        when
    ]


# -- pictures with masks -------------------------------------------------------------------------------------------


@pytest.fixture
def masks(tmp_path):
    """A folder with one picture, whose mask is what Threshold answers."""
    picture = SyntheticPerson(width=64, height=48).picture(0)
    for kind, image in (("images", picture), ("masks", 255 * Threshold()(picture))):
        (tmp_path / "set" / kind).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "set" / kind / "a.png"), image)
    return str(tmp_path / "set")


def test_edges_on_pictures_leave_out_who_would_have_to_learn(bench, stage, masks):
    found = bench("edges", "--masks", masks, "--peers", "same")["edges"]["set"]
    assert found.keys() == {"no learning", "same"}
    assert found["same"] == {"edges": 1.0, "sad": 0.0, "gradient": 0.0}
    assert found["no learning"]["sad"] > 0


def test_table1_has_a_row_for_every_teacher_that_is_not_there(bench, bright, masks, tmp_path):
    found = bench("table1", "--masks", masks, "--teachers", "nobody", bright)
    assert found["iou"] == {bright: {"set": 1.0}}
    text = (tmp_path / "out" / "table1.md").read_text()
    assert "no teacher of this name" in text
    assert "davischallenge.org" in text


def test_table1_scores_the_sequences_of_people_alone_once_more(bench, bright, tmp_path):
    for sequence, found in (("parkour", True), ("camel", False)):
        picture = SyntheticPerson(width=64, height=48).picture(0)
        truth = 255 * Threshold()(picture) if found else np.full((48, 64), 255, np.uint8)
        for kind, name, image in (("JPEGImages", "0.png", picture), ("Annotations", "0.png", truth)):
            (tmp_path / "davis" / kind / "480p" / sequence).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / "davis" / kind / "480p" / sequence / name), image)
    scores = bench("table1", "--davis", str(tmp_path / "davis"), "--teachers", bright)["iou"][bright]
    assert scores["DAVIS 2016, people alone"] == 1.0
    assert scores["DAVIS 2016"] < 1.0
    text = (tmp_path / "out" / "table1.md").read_text()
    assert (
        "| teacher | finds | DAVIS 2016: paper | DAVIS 2016, 2 pictures | DAVIS 2016, people alone, 1 pictures |"
        in text
    )
    assert "A teacher of people cannot find those" in text


# -- what stands beside a number -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_A_CLIP)
def test_live_and_lockstep_are_never_one_number(name, bench, stage, tmp_path, capsys):
    results = {}
    for pace in ("live", "lockstep"):
        few = ["--timed", "4"] if name == "table2" else []
        results[pace] = bench(name, *stage, "--pace", pace, "--peers", "same", *few)
        text = (tmp_path / "out" / f"{name}.md").read_text()
        titles = [line for line in text.splitlines() if line.startswith("### ")]
        assert all(title.endswith(f"; {pace}") for title in titles) or f"IoU-Acc, {pace} |" in text
        for table in (tmp_path / "out").glob(f"{name}*.csv"):
            assert {line.split(",")[-1] for line in table.read_text().splitlines()} <= {"pace", pace, ""}
    ours = [{key for key in r["metrics"] if key.startswith("jit-masker: ")} for r in results.values()]
    shared = ours[0] & ours[1]
    assert all(ours)
    assert not {key for key in shared if not key.endswith((": between paints, live", ": latency, live"))}


def test_only_ours_is_painted_at_the_pace_that_is_said(bench, stage, monkeypatch):
    paces, run = [], evaluation.run
    monkeypatch.setattr(
        evaluation, "run", lambda painter, clip, pace, *more: (paces.append(pace), run(painter, clip, pace, *more))[1]
    )
    for pace in ("live", "lockstep"):
        bench("fig3", *stage, "--pace", pace, "--peers", "same")
    bench("fig4", *stage, "--peers", "--timed", "2")
    assert paces == ["live", *["lockstep"] * 3, "flat out", "flat out"]  # who remembers nothing has no pace


def test_a_table_of_times_says_that_they_are_live_whatever_the_pace_of_the_mattes(bench, lockstep, tmp_path):
    bench("table2", *lockstep, "--peers", "--timed", "4")
    head = next(line for line in (tmp_path / "out" / "table2.md").read_text().splitlines() if line.startswith("| "))
    assert "| IoU-Acc, lockstep |" in head
    assert "| ms between paints, live |" in head
    assert "| latency p50, live | p95, live |" in head


def test_every_number_has_its_command_and_its_machine(bench, tmp_path, capsys):
    result = bench("swap", "--swaps", "1")
    assert result["command"].startswith("jm-bench swap --swaps 1")
    assert {"cpu", "gpu", "cores", "threads", "versions", "commit", "others"} <= result["machine"].keys()
    command, machine, *_ = (tmp_path / "out" / "swap.md").read_text().split("\n\n")
    assert result["command"] in command
    assert result["machine"]["cpu"] in machine
    assert f"commit {result['machine']['commit']}" in machine


def test_no_folder_of_this_machine_stands_beside_a_number(bench, stage, tmp_path):
    bench("fig3", *stage, "--peers", "absent", f"--labels={tmp_path}")
    for path in (tmp_path / "out").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path


def test_the_page_needs_nothing_but_itself(bench, stage, difference, tmp_path):
    bench("fig4", *stage, "--peers", "same", "--timed", "4")
    bench("table2", *stage, "--peers", "same", "--timed", "4")
    bench("interference", "--teacher", difference, "--frames", "4", "--rounds", "1", "--threads", "1")
    bench("report", str(tmp_path / "out"))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "data:image/jpeg;base64," in page
    assert "paper .895; toy" in page
    assert "1 paint thread(s) on both sides" in page
    assert "http://" not in page
    assert "https://" not in page


def test_the_manifest_of_a_folder_names_its_cuts(bench, tmp_path):
    figure = SyntheticPerson(width=160, height=120)
    write_clip(tmp_path / "a.mp4", [figure.picture(0)] * 4 + [255 - figure.picture(0)] * 4)
    result = bench("manifest", str(tmp_path))
    assert result["clips"] == {"a": [4]}
    assert result["machine"] == {}  # nothing was measured


# -- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "--quick" in capsys.readouterr().out


def test_only_the_bench_that_is_chosen_is_imported():
    program = (
        "import sys; from benchmarks.cli import _parser; _parser(['compare']).parse_args(['compare', 'a', 'b'])\n"
        "print(*(m for m in sys.modules if m.startswith('benchmarks.') and m.count('.') == 1), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"benchmarks.cli", "benchmarks.harness", "benchmarks.compare", "False"}
