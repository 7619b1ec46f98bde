"""The machine as files under a root, and as an environment: prepared folders stand in for it in tests."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

MANAGERS = {  # ID or ID_LIKE in os-release -> how its users install a package
    "debian": "sudo apt install -y",
    "ubuntu": "sudo apt install -y",
    "fedora": "sudo dnf install -y",
    "arch": "sudo pacman -S --noconfirm",
}


class System:
    """Reads only. `root` is "/" on a real machine; `platform` and `prefix` (Python's own folder) as in sys."""

    def __init__(
        self,
        root: Path = Path("/"),
        environ: Mapping[str, str] = os.environ,
        platform: str = sys.platform,
        prefix: Path = Path(sys.prefix),
    ) -> None:
        self.root, self.environ, self.platform, self.prefix = root, environ, platform, prefix

    def path(self, absolute: str) -> Path:
        """The file that is `absolute` on the machine."""
        return self.root / absolute.lstrip("/")

    def text(self, absolute: str) -> str | None:
        """What a small file holds, without white space around it; None where it cannot be read."""
        try:
            return self.path(absolute).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    @property
    def distribution(self) -> str | None:
        """A name in MANAGERS; None for others."""
        text = self.text("/etc/os-release") or ""
        release = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        names = [release.get("ID", ""), *release.get("ID_LIKE", "").strip("\"'").split()]
        return next((name for raw in names if (name := raw.strip("\"'")) in MANAGERS), None)

    def install(self, packages: Mapping[str, str]) -> str:
        """The command that installs a system package; `packages`: its name per distribution, "" for all others."""
        name = self.distribution
        package = packages.get("debian" if name == "ubuntu" else name or "", packages[""])
        return f"{MANAGERS[name]} {package}" if name else f"install {package} with your package manager"

    def pip(self, *packages: str) -> str:
        """The command that adds Python packages to where this program lives."""
        if (self.prefix / "pipx_metadata.json").is_file():
            return shlex.join(["pipx", "inject", self.prefix.name, *packages])
        made = self.prefix / "pyvenv.cfg"
        if made.is_file() and "\nuv = " in made.read_text(encoding="utf-8"):
            # holds no pip; `uv tool install --with` would take away what was added before
            return shlex.join(["uv", "pip", "install", "--python", sys.executable, *packages])
        return shlex.join([sys.executable, "-m", "pip", "install", *packages])

    @property
    def modules(self) -> Path | None:
        """Where the modules of the kernel that runs lie; None where they do not, as in a container."""
        folder = self.path(f"/lib/modules/{self.text('/proc/sys/kernel/osrelease') or '?'}")
        return folder if folder.is_dir() else None

    @property
    def secure_boot(self) -> bool | None:
        """Whether the firmware lets only signed modules in; None: not started by UEFI."""
        for variable in sorted(self.path("/sys/firmware/efi/efivars").glob("SecureBoot-*")):
            return variable.read_bytes()[-1:] == b"\x01"  # four bytes of attributes, then the value
        return None

    def video_devices(self, virtual: bool) -> Iterator[tuple[str, str]]:
        """(path, name) of the video devices that a driver of hardware made, or that are `virtual` (v4l2loopback's)."""
        for device in sorted(self.path("/sys/class/video4linux").glob("video*"), key=lambda p: (len(p.name), p.name)):
            if self.text(f"/sys/class/video4linux/{device.name}/index") not in (None, "0"):
                continue  # a webcam's second device gives no pictures, but what is known about them
            if ("virtual" in device.resolve().parts) == virtual:
                yield f"/dev/{device.name}", self.text(f"/sys/class/video4linux/{device.name}/name") or "?"

    def users_of(self, device: str) -> list[str]:
        """Programs of this user that hold `device`, as "name (pid)"; other users' cannot be seen."""
        found = []
        for process in self.path("/proc").glob("[0-9]*"):
            try:
                held = any(os.readlink(link) == device for link in (process / "fd").iterdir())
            except OSError:
                continue
            if held:
                found.append(f"{self.text(f'/proc/{process.name}/comm') or '?'} ({process.name})")
        return sorted(found)
