"""jm-engine doctor on prepared folder trees, and the real command on the machine at hand."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from engine.doctor import Finding, checks, devices, examine
from engine.doctor.command import main, page
from engine.doctor.system import System

RELEASE = "6.1.0-test"
DEBIAN = "ID=debian\n"
UBUNTU = "ID=ubuntu\nID_LIKE=debian\n"
FEDORA = "ID=fedora\n"
ARCH = 'ID=endeavouros\nID_LIKE="arch"\n'
INSTALLED = f"lib/modules/{RELEASE}/updates/dkms/v4l2loopback.ko.xz"
SECURE = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


@pytest.fixture
def machine(tmp_path):
    """A machine with these files: path -> text or bytes; a kernel with modules of its own."""

    def make(files=None, environ=None, release=DEBIAN):
        given = {"proc/sys/kernel/osrelease": RELEASE, "etc/os-release": release, **(files or {})}
        (tmp_path / "lib/modules" / RELEASE).mkdir(parents=True, exist_ok=True)
        for name, content in given.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return System(tmp_path, environ or {}, "linux")

    def device(number, name, place):
        folder = tmp_path / "sys/devices" / place / f"video4linux/video{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(name)
        links = tmp_path / "sys/class/video4linux"
        links.mkdir(parents=True, exist_ok=True)
        (links / folder.name).symlink_to(folder)
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / folder.name).touch()

    make.device = device
    make.root = tmp_path
    return make


def found(check, system):
    return [(finding.level, finding.what, finding.remedy) for finding in check(system)]


def loopback(system):
    """What is found of the module, whether or not pyvirtualcam is installed here."""
    return [finding for finding in found(devices.virtual_camera, system) if "pyvirtualcam" not in finding[1]]


# -- devices


def test_no_camera_is_bad_and_its_driver_is_loaded_first(machine):
    ((level, _, remedy),) = found(devices.camera, machine())
    assert (level, remedy) == ("bad", "sudo modprobe uvcvideo")
    ((level, _, remedy),) = found(devices.camera, machine({"sys/module/uvcvideo/version": "1"}))
    assert (level, remedy) == ("bad", "plug a camera in")


def test_a_camera_is_named_with_who_holds_it_and_a_virtual_one_is_none(machine):
    machine.device(0, "HD Webcam", "pci0000:00/usb1")
    machine.device(1, "HD Webcam", "pci0000:00/usb1")
    (machine.root / "sys/class/video4linux/video1/index").write_text("1\n")  # of its metadata
    machine.device(10, "jit-masker", "virtual")
    (machine.root / "proc/77/fd").mkdir(parents=True)
    (machine.root / "proc/77/comm").write_text("zoom\n")
    (machine.root / "proc/77/fd/3").symlink_to("/dev/video0")
    assert found(devices.camera, machine()) == [("ok", "/dev/video0 HD Webcam, in use by zoom (77)", None)]


def test_a_camera_that_may_not_be_opened_names_its_group(machine):
    machine.device(0, "HD Webcam", "pci0000:00/usb1")
    device = machine.root / "dev/video0"
    device.chmod(0)
    if os.access(device, os.R_OK):
        pytest.skip("this user may open everything")
    group = f"camera:x:{device.stat().st_gid}:"
    ((level, _, remedy),) = found(devices.camera, machine({"etc/group": group}, {"USER": "ada"}))
    assert (level, remedy) == ("bad", "sudo usermod -aG camera ada")
    ((_, what, remedy),) = found(devices.camera, machine({"etc/group": f"{group}bob,ada"}, {"USER": "ada"}))
    assert (remedy, "since you logged in" in what) == ("log out and in again", True)


@pytest.mark.parametrize(
    ("release", "command"),
    [
        (DEBIAN, "sudo apt install -y v4l2loopback-dkms linux-headers-$(uname -r)"),
        (UBUNTU, "sudo apt install -y v4l2loopback-dkms linux-headers-$(uname -r)"),
        (FEDORA, "sudo dnf install -y akmod-v4l2loopback"),
        (ARCH, "sudo pacman -S --noconfirm v4l2loopback-dkms linux-headers"),
        ("ID=void\n", "install v4l2loopback with your package manager"),
    ],
)
def test_a_module_that_is_not_installed_comes_with_the_distributions_own_command(machine, release, command):
    ((level, what, remedy),) = loopback(machine(release=release))
    assert (level, remedy) == ("warn", f"{command} && {devices.LOAD}")
    assert what.startswith(f"v4l2loopback is not installed for the kernel {RELEASE}")


def test_a_module_that_is_installed_is_loaded_and_under_secure_boot_its_key_is_enrolled(machine):
    assert loopback(machine({INSTALLED: ""}))[0][2] == devices.LOAD
    assert loopback(machine({INSTALLED: "", SECURE: b"\6\0\0\0\0"}))[0][2] == devices.LOAD
    system = machine({INSTALLED: "", SECURE: b"\6\0\0\0\1"}, release=UBUNTU)
    assert loopback(system)[0][2] == "sudo mokutil --import /var/lib/shim-signed/mok/MOK.der"
    assert found(devices.secure_boot, system) == [("ok", "on: only signed modules are loaded", None)]


@pytest.mark.parametrize(("caps", "fine"), [("Y,N,N", True), ("N,N,N", False)])
def test_a_virtual_camera_that_browsers_would_not_list_is_loaded_anew(machine, caps, fine):
    machine.device(10, "jit-masker", "virtual")
    system = machine({"sys/module/v4l2loopback/parameters/exclusive_caps": caps})
    expected = [("ok", "/dev/video10 jit-masker", None)]
    if not fine:
        expected.insert(0, ("warn", "exclusive_caps is off: browsers do not list the camera", devices.RELOAD))
    assert loopback(system) == expected


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"pyvenv.cfg": "home = /usr/bin\n"}, [sys.executable, "-m", "pip", "install"]),
        ({"pyvenv.cfg": "home = /usr/bin\nuv = 0.9.1\n"}, ["uv", "pip", "install", "--python", sys.executable]),
        ({"pyvenv.cfg": "home = /usr/bin\nuv = 0.9.1\n", "pipx_metadata.json": "{}"}, ["pipx", "inject", "masker"]),
    ],
)
def test_a_python_package_is_added_by_what_made_the_environment(tmp_path, files, command):
    (prefix := tmp_path / "masker").mkdir()
    for name, content in files.items():
        (prefix / name).write_text(content)
    assert shlex.split(System(tmp_path, {}, "linux", prefix).pip("pyvirtualcam")) == [*command, "pyvirtualcam"]


def test_a_container_without_modules_points_to_the_host(tmp_path):
    ((_, _, remedy),) = loopback(System(tmp_path, {}, "linux"))
    assert remedy == f"on the host: {devices.LOAD}"


def test_a_window_needs_a_display(machine):
    assert "no display" in [what for _, what, _ in found(devices.window, machine())]
    assert "no display" not in [what for _, what, _ in found(devices.window, machine(environ={"DISPLAY": ":0"}))]


# -- what computes, what is kept


def test_the_tightest_cgroup_counts(machine):
    files = {
        "proc/self/cgroup": "0::/user.slice/app.scope\n",
        "sys/fs/cgroup/user.slice/cpu.max": "150000 100000",
        "sys/fs/cgroup/user.slice/app.scope/cpu.max": "max 100000",
        "proc/cpuinfo": "flags\t\t: fpu avx2\n",
    }
    level, what, remedy = found(checks.processor, machine(files))[0]
    assert (level, remedy) == ("warn", "jm-engine --teacher none")
    assert "limited to 1.5 by a cgroup, AVX2" in what


@pytest.mark.parametrize(("driver", "told"), [("acpi-cpufreq", True), ("intel_pstate", False)])
def test_powersave_is_told_where_it_means_the_slowest_clock(machine, driver, told):
    folder = "sys/devices/system/cpu/cpu0/cpufreq"
    system = machine({f"{folder}/scaling_governor": "powersave\n", f"{folder}/scaling_driver": driver})
    remedies = [remedy for _, _, remedy in found(checks.processor, system)]
    assert ("sudo cpupower frequency-set -g schedutil" in remedies) == told


def test_weights_that_are_damaged_are_pulled_again(machine, monkeypatch):
    monkeypatch.setenv("JM_HOME", str(machine.root / "home"))
    monkeypatch.delenv("JM_MODELS", raising=False)
    system = machine({"home/models/rvm_mobilenetv3_fp32.onnx": "short"})
    (machine.root / "home").chmod(0o700)
    level, what, remedy = found(checks.teacher, system)[-1]
    assert (level, remedy) == ("warn", "jm-engine models pull rvm")
    assert "damaged" in what
    assert "GPL-3.0" in what


def test_a_cache_that_others_can_write_is_bad(machine, monkeypatch):
    home = machine.root / "home"
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setenv("JM_HOME", str(home))
    ((level, _, remedy),) = found(checks.cache, machine())
    assert (level, remedy) == ("bad", f"chmod go-w {home}")
    subprocess.run(remedy, shell=True, check=True)
    assert found(checks.cache, machine())[0][0] == "ok"


def test_a_control_folder_that_others_can_enter_is_bad(machine, monkeypatch):
    folder = machine.root / "jit-masker"
    folder.mkdir()
    folder.chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(machine.root))
    ((level, _, remedy),) = found(checks.control, machine())
    assert (level, remedy) == ("bad", f"chmod 700 {folder}")
    subprocess.run(remedy, shell=True, check=True)
    assert found(checks.control, machine())[0][0] == "ok"


def test_a_telemetry_switch_that_is_off_its_place_is_bad(machine):
    switches = dict(checks.silence.SWITCHES)
    assert found(checks.telemetry, machine(environ=switches))[0][0] == "ok"
    ((level, _, remedy),) = found(checks.telemetry, machine(environ={**switches, "ORT_DISABLE_TELEMETRY": "0"}))
    assert (level, remedy) == ("bad", "export ORT_DISABLE_TELEMETRY=1")


# -- the page


def test_a_check_that_fails_is_unknown_and_keeps_no_other(machine):
    def broken(system):
        raise OSError(5, "Input/output error")
        yield

    after = Finding("after", "ok", "fine")
    findings = examine(machine(), {"broken": broken, "after": lambda system: [after]})
    assert findings == [Finding("broken", "unknown", "OSError: [Errno 5] Input/output error"), after]


def test_nothing_of_an_empty_machine_makes_a_check_fail(tmp_path):
    findings = examine(System(tmp_path, {}, "linux"), checks.CHECKS)
    assert [finding for finding in findings if finding.level == "unknown"] == []
    assert {finding.subject for finding in findings} == set(checks.CHECKS)


def test_the_page_is_aligned():
    findings = [Finding("GPU", "ok", "none"), Finding("camera", "bad", "none", "plug it in")]
    lines = ["fine  GPU     none", "BAD   camera  none", "              -> plug it in"]
    assert page(findings) == "\n".join(lines)


def test_the_real_command_says_the_same_in_both_forms():
    command = [sys.executable, "-m", "engine.cli", "doctor"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120)
    document = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=120)
    findings = json.loads(document.stdout)
    assert (told.stderr, document.stderr) == ("", "")
    assert told.returncode == document.returncode == int(any(f["level"] == "bad" for f in findings))
    assert {finding["subject"] for finding in findings} == set(checks.CHECKS)
    assert [f for f in findings if f["level"] == "unknown"] == [] or sys.platform != "linux"
    assert len([line for line in told.stdout.splitlines() if "  -> " not in line]) == len(findings)


def test_the_exit_code_is_1_only_where_something_is_bad(monkeypatch, capsys):
    """The table of checks is what is replaced: what they find here is this machine's affair."""
    for level, code in ("warn", 0), ("unknown", 0), ("bad", 1):
        monkeypatch.setattr(
            "engine.doctor.command.CHECKS", {"x": lambda system, level=level: [Finding("x", level, "")]}
        )
        assert main([]) == code
