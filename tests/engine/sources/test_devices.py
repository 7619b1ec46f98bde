"""Which camera is meant, how it is opened, and where it went. Devices are scripted; v4l2 itself is tried on drivers."""

import pytest

from engine import v4l2
from engine.errors import SinkError, SourceError
from engine.sinks.virtual_camera import find_output
from engine.sources import devices
from engine.sources.devices import CameraWish, RememberedCamera, choose
from engine.v4l2 import Device, Mode

OFFERED = [
    Mode("YUYV", 640, 480, 30),
    Mode("YUYV", 1280, 720, 10),
    Mode("MJPG", 640, 480, 30),
    Mode("MJPG", 1280, 720, 30),
    Mode("MJPG", 1920, 1080, 30),
    Mode("NV12", 1280, 720, 60),
]


@pytest.mark.parametrize(
    ("wish", "mode"),
    [
        (CameraWish(), Mode("MJPG", 1280, 720, 30)),
        (CameraWish(size=(640, 480)), Mode("YUYV", 640, 480, 30)),
        (CameraWish(size=(640, 480), format="mjpeg"), Mode("MJPG", 640, 480, 30)),
        (CameraWish(size=(1920, 1080)), Mode("MJPG", 1920, 1080, 30)),
        (CameraWish(fps=10), Mode("YUYV", 1280, 720, 10)),
        (CameraWish(format="yuyv"), Mode("YUYV", 640, 480, 30)),
    ],
)
def test_a_camera_is_opened_as_is_best_or_as_was_wished(wish, mode):
    assert choose(OFFERED, wish) == mode


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (CameraWish(size=(800, 600)), "no 800x600; it offers 1920x1080 "),
        (CameraWish(fps=60), "no picture at 60 fps; it offers"),
        (CameraWish(size=(1920, 1080), format="yuyv"), r"no 1920x1080 as yuyv; .*640x480 \(yuyv 30, mjpeg 30 fps\)"),
    ],
)
def test_what_is_not_offered_is_an_error_that_names_what_is(wish, words):
    with pytest.raises(SourceError, match=words):
        choose(OFFERED, wish)


def test_a_format_that_a_camera_of_other_formats_lacks_is_an_error():
    offered = [Mode("NV12", 640, 480, 30)]
    with pytest.raises(SourceError, match=r"no picture as yuyv; it offers 640x480 \(NV12 30 fps\)"):
        choose(offered, CameraWish(format="yuyv"))
    assert choose(offered, CameraWish()) is None


def test_a_camera_that_tells_nothing_is_opened_as_it_likes():
    assert choose([], CameraWish(size=(640, 480))) is None


def webcam(number, name="HD Webcam", bus="usb-1"):
    return Device(f"/dev/video{number}", name, "uvcvideo", bus, True, False)


LOOPBACK = Device("/dev/video10", "jit-masker", "v4l2 loopback", "platform:v4l2loopback-010", True, False)


@pytest.fixture
def connected(monkeypatch):
    """Says which devices there are."""
    there = []
    monkeypatch.setattr(v4l2, "devices", lambda: list(there))
    monkeypatch.setattr(devices, "check_device", lambda path: None)
    monkeypatch.setattr(devices, "stable_link", lambda path: None)

    def connect(*now):
        there[:] = now

    return connect


def test_a_camera_is_found_again_under_another_number(connected):
    connected(webcam(0), webcam(2, "Other", "usb-2"), LOOPBACK)
    camera = RememberedCamera("0")
    assert camera.locate() == "/dev/video0"
    connected(webcam(2, "Other", "usb-2"), webcam(3), LOOPBACK)
    assert camera.locate() == "/dev/video3"


def test_another_camera_under_its_number_is_not_taken_for_it(connected):
    connected(webcam(0))
    camera = RememberedCamera("0")
    camera.locate()
    connected(webcam(0, "Other", "usb-2"), LOOPBACK)
    with pytest.raises(SourceError, match=r"'HD Webcam' is not connected; there are /dev/video0 \(Other\)$"):
        camera.locate()


def test_a_camera_is_named_by_a_part_of_its_name_and_a_loopback_is_none(connected):
    connected(webcam(0), LOOPBACK)
    assert RememberedCamera("webcam").locate() == "/dev/video0"
    with pytest.raises(SourceError, match="'jit' is no camera that is here; there are /dev/video0"):
        RememberedCamera("jit").locate()
    connected(webcam(0), webcam(1))
    with pytest.raises(SourceError, match="'webcam' fits several cameras; there are /dev/video0"):
        RememberedCamera("webcam").locate()


def test_a_virtual_camera_is_named_by_a_part_of_its_name(connected):
    connected(webcam(0), LOOPBACK)
    assert find_output("MASKER") == "/dev/video10"
    with pytest.raises(SinkError, match=r"camera OBS: no such device. There is /dev/video10 \(jit-masker\)"):
        find_output("OBS")


def test_structures_are_as_large_as_the_kernels():
    """sizeof in linux/videodev2.h, 64 bits."""
    layouts = v4l2.CAPABILITY, v4l2.FORMAT, v4l2.FRAME_SIZE, v4l2.FRAME_INTERVAL, v4l2.SUBSCRIPTION, v4l2.EVENT
    assert [layout.size for layout in layouts] == [104, 64, 44, 52, 32, 136]
    assert (v4l2.QUERYCAP, v4l2.ENUM_FMT) == (0x80685600, 0xC0405602)
