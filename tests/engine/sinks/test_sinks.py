"""Every sink is driven for real: files are decoded again, processes are killed, disks are full, pipes are closed."""

import io
import logging
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engine.contracts import Picture, Sink
from engine.errors import SinkError, UsageError
from engine.sinks import AlphaFile, Null, Stdout, TkWindow, VirtualCamera, Window, open_sink
from engine.sinks.containers import CONTAINERS
from tests.clips import beeping_clip, decoded_alpha, decoded_until_damage

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted(CONTAINERS)
TRANSPARENT = [suffix for suffix in FILES if CONTAINERS[suffix].transparent]
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")


def make_picture(index=0, size=(48, 64), position=None, alpha=None, colour=None):
    H, W = size
    bgr = np.zeros((H, W, 3), np.uint8)
    bgr[:] = colour if colour is not None else (index * 5 % 256, 120, 60)
    return Picture(bgr, alpha, index, index / 25 if position is None else position)


def write_all(sink, pictures):
    for picture in pictures:
        sink.write(picture)
    sink.close()


def decoded(path, layout="bgr24"):
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format=layout)) for frame in container.decode(video=0)]


def run_python(code, **options):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, timeout=60, **options
    )


# --- what a user asks for


@pytest.mark.parametrize("spec", ["out.avi", "out", "windows", "", "null:"])
def test_an_unknown_output_is_refused_and_the_possible_ones_are_named(spec):
    with pytest.raises(
        UsageError, match=r"unknown output; choose one of window, camera, .*\.mp4, \.mov, \.mkv, \.webm"
    ):
        open_sink(spec, fps=25)


@pytest.mark.parametrize("spec", ["null", "-", "a.mp4", "a.mkv", "a.webm"])
def test_every_sink_keeps_the_protocol(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sink = open_sink(spec, fps=25)
    assert isinstance(sink, Sink)
    assert (sink.needs_alpha, sink.wanted) == (False, True)
    sink.close()
    sink.close()


def test_importing_the_sinks_loads_neither_opencv_nor_ffmpeg():
    done = run_python("import sys, engine.sinks; sys.exit(bool({'cv2', 'av'} & set(sys.modules)))")
    assert done.returncode == 0


@pytest.mark.parametrize("spec", ["window", "camera", "a.mp4"])
def test_alpha_into_something_that_cannot_hold_it_is_refused(spec):
    with pytest.raises(UsageError, match=r"cannot (show|hold) alpha; .*\.webm"):
        open_sink(spec, fps=25, transparent=True)


@pytest.mark.parametrize("spec", ["null", "-", "a.mkv", "a.webm"])
def test_a_transparent_sink_asks_for_alpha(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_sink(spec, fps=25, transparent=True).needs_alpha


def test_null_counts():
    sink = Null()
    write_all(sink, [make_picture(i) for i in range(3)])
    assert sink.pictures == 3


# --- files


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (48, 64)])
def test_a_file_holds_every_picture(suffix, size, tmp_path):
    path = tmp_path / f"out{suffix}"
    write_all(open_sink(str(path), fps=25), [make_picture(i, size) for i in range(30)])
    frames = decoded(path)
    assert len(frames) == 30
    assert np.abs(frames[20][1][: size[0], : size[1]].astype(int) - make_picture(20, size).bgr).max() < 12


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_h264_rounds_an_odd_size_up_by_repeating_the_edge(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    write_all(open_sink(str(path), fps=25), [make_picture(0, (5, 7), colour=(30, 60, 200))])
    ((_, bgr),) = decoded(path)
    assert bgr.shape == (6, 8, 3)
    assert np.abs(bgr.astype(int) - (30, 60, 200)).max() < 12


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("fps", [0.0, 25.0, 29.97])
def test_the_time_of_a_picture_is_its_position_whatever_the_rate(suffix, fps, tmp_path):
    path = tmp_path / f"out{suffix}"
    positions = [0.0, 0.02, 0.1, 0.13, 0.9, 1.5, 1.51, 3.25, 3.3]
    write_all(open_sink(str(path), fps=fps), [make_picture(i, position=p) for i, p in enumerate(positions)])
    assert [time for time, _ in decoded(path)] == pytest.approx(positions, abs=0.001)


@pytest.mark.parametrize("suffix", FILES)
def test_time_that_stands_still_or_runs_back_is_pushed_on(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    positions = [0.0, 0.0, 0.5, 0.4, 0.6]
    write_all(open_sink(str(path), fps=25), [make_picture(i, position=p) for i, p in enumerate(positions)])
    times = [time for time, _ in decoded(path)]
    assert len(times) == 5
    assert times == sorted(set(times))


@pytest.mark.parametrize("suffix", FILES)
def test_a_file_lasts_until_its_last_picture_ends(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    write_all(open_sink(str(path), fps=25), [make_picture(i) for i in range(50)])
    with av.open(str(path)) as container:
        assert container.duration / 1e6 == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("suffix", FILES)
def test_every_second_begins_with_a_keyframe(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    write_all(open_sink(str(path), fps=25), [make_picture(i) for i in range(80)])
    with av.open(str(path)) as container:
        keys = {round(float(p.pts * p.time_base), 2) for p in container.demux(video=0) if p.is_keyframe and p.size}
    assert keys >= {0, 1, 2, 3}


def test_a_picture_of_another_size_is_scaled_to_the_files_and_that_is_told_once(tmp_path, caplog):
    path = tmp_path / "out.mkv"
    with caplog.at_level(logging.WARNING):
        write_all(
            open_sink(str(path), fps=25), [make_picture(i, s) for i, s in enumerate([(48, 64), (20, 30), (96, 8)])]
        )
    assert [bgr.shape for _, bgr in decoded(path)] == [(48, 64, 3)] * 3
    assert len(caplog.records) == 1
    assert "began at 64x48" in caplog.text


@pytest.mark.parametrize("suffix", FILES)
def test_colours_survive_and_the_file_says_how_they_were_coded(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    write_all(open_sink(str(path), fps=25), [make_picture(i, colour=(20, 40, 220)) for i in range(5)])
    assert np.abs(decoded(path)[-1][1].astype(int) - (20, 40, 220)).max() < 6
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) in {(5, 1), (6, 1)}  # both are the matrix of BT.601


def test_a_picture_that_is_not_contiguous_is_written(tmp_path):
    path = tmp_path / "out.mkv"
    turned = make_picture(0, (64, 48), colour=(20, 40, 220)).bgr.transpose(1, 0, 2)
    write_all(open_sink(str(path), fps=25), [Picture(turned, None, 0, 0.0)])
    assert decoded(path)[0][1].shape == (48, 64, 3)


@pytest.mark.parametrize("suffix", FILES)
def test_without_a_picture_there_is_no_file_and_what_was_there_stays(suffix, tmp_path):
    new, old = tmp_path / f"new{suffix}", tmp_path / f"old{suffix}"
    old.write_bytes(b"precious")
    for path in (new, old):
        open_sink(str(path), fps=25).close()
    assert not new.exists()
    assert old.read_bytes() == b"precious"


def test_writing_after_close_is_an_error(tmp_path):
    sink = open_sink(str(tmp_path / "out.mp4"), fps=25)
    sink.close()
    with pytest.raises(SinkError, match="it is closed"):
        sink.write(make_picture())


def threads_added(path, threads, transparent):
    code = f"""
        import os, numpy as np
        from engine.contracts import Picture
        from engine.media.ffmpeg import av, cv2  # theirs are not the encoder's
        from engine.sinks import open_sink
        sink = open_sink(r"{path}", fps=25, threads={threads}, transparent={transparent})
        before = len(os.listdir("/proc/self/task"))
        for i in range(10):
            sink.write(Picture(np.zeros((240, 320, 3), np.uint8), np.zeros((240, 320), np.uint8), i, i / 25))
        print(len(os.listdir("/proc/self/task")) - before)
    """
    return int(run_python(code).stdout)


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc to count threads")


@needs_proc
@pytest.mark.parametrize(("suffix", "transparent"), [(s, False) for s in FILES] + [(s, True) for s in TRANSPARENT])
def test_an_encoder_given_one_thread_starts_none_of_its_own(suffix, transparent, tmp_path):
    assert threads_added(tmp_path / f"out{suffix}", 1, transparent) == 0


@needs_proc
def test_an_encoder_given_more_threads_uses_them(tmp_path):
    assert threads_added(tmp_path / "out.mp4", 2, False) > 0


# --- a process that is killed, a disk that is full

WRITE_UNTIL_KILLED = """
    import os, signal, sys, numpy as np
    from engine.contracts import Origin, Picture
    from engine.sinks import AlphaFile, open_sink
    path, transparent, sound = sys.argv[1], sys.argv[2] == "alpha", sys.argv[3] or None
    sink = open_sink(path, fps=25, transparent=transparent, origin=Origin(again=sound))
    noise = np.random.default_rng(0)
    for i in range(250):
        bgr = noise.integers(0, 255, (48, 64, 3), np.uint8)
        sink.write(Picture(bgr, np.full((48, 64), 200, np.uint8), i, i / 25))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@posix
@pytest.mark.parametrize(
    ("suffix", "alpha", "sound"),
    [(s, "opaque", False) for s in FILES] + [(s, "alpha", False) for s in TRANSPARENT] + [(".mp4", "opaque", True)],
)
def test_a_file_whose_writer_was_killed_plays_up_to_its_last_seconds(suffix, alpha, sound, tmp_path):
    path = tmp_path / f"out{suffix}"
    voice = beeping_clip(tmp_path / "voice.mp4", seconds=2) if sound else ""
    code = textwrap.dedent(WRITE_UNTIL_KILLED)
    done = subprocess.run([sys.executable, "-c", code, str(path), alpha, voice], cwd=ROOT, timeout=60)
    assert done.returncode == -9
    assert len(decoded(path)) >= 250 - 3 * 25


WRITE_TO_A_FULL_DISK = """
    import sys, numpy as np, warnings
    warnings.simplefilter("error")
    if sys.argv[2]:
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    from engine.contracts import Picture
    from engine.errors import SinkError
    from engine.sinks import open_sink
    sink = open_sink(sys.argv[1], fps=25)
    noise = np.random.default_rng(0)
    try:
        for i in range(500):
            sink.write(Picture(noise.integers(0, 255, (240, 320, 3), np.uint8), None, i, i / 25))
        sink.close()
    except SinkError as error:
        print(error)
    sink.close()
"""


def write_to_a_full_disk(path, limit=""):
    code = textwrap.dedent(WRITE_TO_A_FULL_DISK)
    command = [sys.executable, "-c", code, str(path), limit]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@posix
@pytest.mark.parametrize("suffix", FILES)
def test_a_file_that_may_not_grow_is_one_error_and_stays_playable(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    done = write_to_a_full_disk(path, limit="3000000")
    assert f"cannot write {path}: File too large. What was written stays; free space" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert len(decoded_until_damage(path)) > 10


@posix
@pytest.mark.parametrize("suffix", FILES)
def test_a_full_disk_is_one_error(suffix, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        done = write_to_a_full_disk(disk / f"out{suffix}")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert "No space left on device" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("suffix", FILES)
def test_a_folder_that_is_not_there_is_told_at_once(suffix, tmp_path):
    path = tmp_path / "nowhere" / f"out{suffix}"
    with pytest.raises(SinkError, match=r"nowhere.*No such file or directory; name a file in a folder you can write"):
        open_sink(str(path), fps=25)


def test_a_disk_that_fills_up_at_the_end_is_told_by_close_once(tmp_path, monkeypatch):
    sink = open_sink(str(tmp_path / "out.mkv"), fps=25)
    sink.write(make_picture())
    (tmp_path / "out.mkv").unlink(missing_ok=True)
    (tmp_path / "out.mkv").mkdir()  # x264 still holds the picture: the file is only opened in close
    with pytest.raises(SinkError, match="Is a directory"):
        sink.close()
    sink.close()


# --- alpha


def halves(index=0, size=(48, 64)):
    """The left half is an opaque person, the right half the room, whose colour must not get out."""
    picture = make_picture(index, size, colour=(40, 90, 200))
    alpha = np.zeros(size, np.uint8)
    alpha[:, : size[1] // 2] = 255
    picture.bgr[:, size[1] // 2 :] = (255, 255, 0)
    return Picture(picture.bgr, alpha, index, picture.position)


def test_mkv_keeps_straight_alpha_exactly_and_black_where_it_is_zero(tmp_path):
    path = tmp_path / "out.mkv"
    noise = np.random.default_rng(1)
    alpha = noise.integers(0, 3, (5, 7), np.uint8) * 100
    bgr = noise.integers(0, 256, (5, 7, 3), np.uint8)
    write_all(open_sink(str(path), fps=25, transparent=True), [Picture(bgr, alpha, 0, 0.0)])
    ((_, bgra),) = decoded(path, "bgra")
    assert np.array_equal(bgra, np.dstack([np.where(alpha[:, :, None] > 0, bgr, 0), alpha]))


def test_webm_keeps_alpha_and_black_where_it_is_zero(tmp_path):
    path = tmp_path / "out.webm"
    write_all(open_sink(str(path), fps=25, transparent=True), [halves(i) for i in range(30)])
    frames = decoded_alpha(path)
    assert len(frames) == 30
    assert np.abs(frames[-1][:, :28].astype(int) - (40, 90, 200, 255)).max() < 12
    assert frames[-1][:, 36:].max() < 6


@pytest.mark.parametrize("suffix", TRANSPARENT)
@pytest.mark.parametrize("size", [(1, 1), (5, 7)])
def test_alpha_of_tiny_pictures_is_written(suffix, size, tmp_path):
    path = tmp_path / f"out{suffix}"
    write_all(open_sink(str(path), fps=25, transparent=True), [halves(i, size) for i in range(3)])
    assert len(decoded(path)) == 3


def test_scaling_does_not_bring_the_room_back(tmp_path):
    path = tmp_path / "out.mkv"
    write_all(open_sink(str(path), fps=25, transparent=True), [halves(0), halves(1, (37, 51))])
    bgra = decoded(path, "bgra")[1][1]
    assert bgra[:, :, 0].max() <= 40  # the room's blue is 255


@pytest.mark.parametrize("make", [
    lambda path: open_sink(path, fps=25, transparent=True), lambda path: AlphaFile(path, 25),
])  # fmt: skip
def test_a_picture_without_alpha_is_refused_where_alpha_is_written(make, tmp_path):
    with pytest.raises(UsageError, match="picture 7 has no alpha"):
        make(str(tmp_path / "out.mkv")).write(make_picture(7))


def test_an_alpha_of_another_size_than_its_picture_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"its alpha \(2, 2\)"):
        AlphaFile(str(tmp_path / "out.mkv"), 25).write(make_picture(0, alpha=np.zeros((2, 2), np.uint8)))


@pytest.mark.parametrize("make", [
    lambda path: open_sink(path, fps=25, transparent=True), lambda path: AlphaFile(path, 25),
])  # fmt: skip
def test_a_lossless_file_says_that_its_values_go_from_0_to_255(make, tmp_path):
    path = tmp_path / "out.mkv"
    write_all(make(str(path)), [halves()])
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert context.color_range == 2


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (48, 64)])
def test_an_alpha_file_keeps_every_byte(size, tmp_path):
    noise = np.random.default_rng(2)
    alphas = [noise.integers(0, 256, size, np.uint8) for _ in range(30)]
    path = tmp_path / "alpha.mkv"
    write_all(AlphaFile(str(path), 25), [make_picture(i, size, alpha=a) for i, a in enumerate(alphas)])
    frames = decoded(path, "gray")
    assert [time for time, _ in frames] == pytest.approx([i / 25 for i in range(30)], abs=0.001)
    assert all(np.array_equal(grey, alpha) for (_, grey), alpha in zip(frames, alphas, strict=True))


def test_an_alpha_file_is_an_mkv():
    with pytest.raises(UsageError, match=r"needs an \.mkv"):
        AlphaFile("alpha.mp4", 25)


# --- stdout


def test_stdout_gets_the_raw_pictures_at_the_first_ones_size():
    stream = io.BytesIO()
    write_all(Stdout(stream), [make_picture(0, (5, 7)), make_picture(1, (10, 14))])
    assert stream.getvalue()[: 5 * 7 * 3] == make_picture(0, (5, 7)).bgr.tobytes()
    assert len(stream.getvalue()) == 2 * 5 * 7 * 3


def test_transparent_stdout_gets_bgra_with_the_room_in_black():
    stream = io.BytesIO()
    write_all(Stdout(stream, transparent=True), [halves(size=(2, 2))])
    assert stream.getvalue() == bytes([40, 90, 200, 255, 0, 0, 0, 0] * 2)


@posix
def test_a_reader_that_goes_away_ends_the_wish_for_pictures_without_a_traceback():
    code = """
        import os, sys, numpy as np
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(reader)
        from engine.contracts import Picture
        from engine.sinks import open_sink
        sink = open_sink("-", fps=25)
        for i in range(3):
            sink.write(Picture(np.zeros((480, 640, 3), np.uint8), None, i, i / 25))
        print("still wanted:", sink.wanted, file=sys.stderr)
    """
    done = run_python(code)
    assert (done.returncode, done.stderr) == (0, b"still wanted: False\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_file_on_a_full_device_is_an_error_that_says_so(tmp_path):
    (tmp_path / "full.mkv").symlink_to("/dev/full")
    with pytest.raises(SinkError, match=r"No space left on device.*free space"):
        write_all(open_sink(str(tmp_path / "full.mkv"), fps=25), [make_picture(i) for i in range(60)])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_stdout_on_a_full_disk_is_an_error():
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(SinkError, match="No space left"):
        Stdout(full).write(make_picture())


# --- windows and cameras


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux names its display in the environment")
def test_a_window_without_a_display_names_the_ways_out():
    with pytest.raises(SinkError, match=r"no display; set DISPLAY, or use --output FILE or --headless"):
        Window(environ={})


WITHOUT_WINDOWS = "GUI:                           NONE" in cv2.getBuildInformation()


@pytest.fixture(scope="module")
def display():
    """A screen that nobody sees, as DISPLAY."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb")
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        number = os.read(reading, 16).strip().decode()
        if not number:
            pytest.skip("Xvfb does not start here")
        yield f":{number}"
    finally:
        os.close(reading)
        server.kill()
        server.wait()


@pytest.mark.skipif(not WITHOUT_WINDOWS, reason="this OpenCV has windows")
def test_where_opencv_has_no_window_tk_shows_the_picture_and_hears_keys(display, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)
    window = open_sink("window", fps=25)
    assert isinstance(window, TkWindow)
    keys = []
    window.on_key = keys.append
    window.write(make_picture())
    assert (window._photo.width(), window._photo.height()) == make_picture().bgr.shape[1::-1]
    blue, green, red = (int(value) for value in make_picture().bgr[3, 5])
    assert window._photo.get(5, 3) == (red, green, blue)
    window._root.focus_force()
    window._root.event_generate("<Key>", keysym="m")
    window.write(make_picture())
    assert (keys, window.wanted) == ([ord("m")], True)
    window._root.event_generate("<Key>", keysym="q")
    window.write(make_picture())
    assert not window.wanted
    window.close()


@pytest.mark.skipif(not WITHOUT_WINDOWS, reason="this OpenCV has windows")
def test_a_display_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(SinkError, match="cannot open a window: .*:4711.*; use --output FILE or --headless"):
        open_sink("window", fps=25)


class ScriptedCamera:
    """A virtual camera that keeps what it is sent, and fails from picture `fails_at` on."""

    def __init__(self, fails_at=None):
        self.fails_at = fails_at
        self.opened_with = None
        self.sent = []
        self.closed = 0

    def __call__(self, *opened_with):
        self.opened_with = opened_with
        return self

    def send(self, frame):
        if len(self.sent) == self.fails_at:
            raise RuntimeError("device vanished")
        self.sent.append(frame.copy())

    def close(self):
        self.closed += 1


def test_a_camera_has_the_first_pictures_size_made_even():
    device = ScriptedCamera()
    write_all(VirtualCamera(30, factory=device), [make_picture(0, (5, 7)), make_picture(1, (48, 64))])
    assert device.opened_with == (8, 6, 30, None)
    assert [frame.shape for frame in device.sent] == [(6, 8, 3)] * 2


def test_a_camera_of_unknown_rate_announces_thirty():
    device = ScriptedCamera()
    write_all(VirtualCamera(0.0, factory=device), [make_picture()])
    assert device.opened_with[2] == 30


def test_a_camera_is_closed_once():
    device = ScriptedCamera()
    sink = VirtualCamera(30, factory=device)
    write_all(sink, [make_picture()])
    sink.close()
    assert device.closed == 1


def test_a_camera_that_fails_names_the_fixing_command():
    sink = VirtualCamera(30, factory=ScriptedCamera(fails_at=0))
    with pytest.raises(SinkError, match=r"device vanished\. (Make one: sudo modprobe v4l2loopback|Install OBS)"):
        sink.write(make_picture())


def test_a_device_that_is_not_there_is_told_before_the_first_picture():
    with pytest.raises(SinkError, match=r"/dev/video-none: no such device\. (Make one|Install OBS)"):
        VirtualCamera(30, device="/dev/video-none", factory=ScriptedCamera())


def test_without_pyvirtualcam_the_extra_is_named():
    try:
        import pyvirtualcam  # noqa: F401 (whether it is there)
    except ImportError:
        with pytest.raises(SinkError, match=r'pip install "jit-masker\[virtualcam\]"'):
            open_sink("camera:/dev/video10", fps=30)
    else:
        pytest.skip("pyvirtualcam is installed")
