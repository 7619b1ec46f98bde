"""The profile: the weights of a start student that was taught on kept frames, and judged on others of them.

Readable without the key store, which may ask its user: a picture does not wait for that.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from export.contracts import StudentWeights
from export.publish import load_student
from export.store import load_weights, save_weights
from kernels.ownership import check_folder, read_private

from ..errors import JitMaskerError, ModelError
from ..rooms.room import fingerprint
from .store import FrameStore, profile_folder

log = logging.getLogger("jit_masker")

SUFFIX = ".safetensors"
START, BEFORE, AFTER, FRAMES = "start", "score of the start", "score", "frames"  # of its card


@dataclass(frozen=True)
class Profile:
    """A profile that is there."""

    path: Path
    weights: StudentWeights

    @property
    def gain(self) -> str:
        """What it was judged by, for people."""
        card = self.weights.card
        return f"{card.get(BEFORE, '?')} -> {card.get(AFTER, '?')} on frames kept apart"


def path_of(student: str, size: tuple[int, int], folder: Path | None = None) -> Path:
    return (folder or profile_folder()) / f"{student}-{size[0]}x{size[1]}{SUFFIX}"


def find_profile(student: str, size: tuple[int, int], folder: Path | None = None) -> Profile | None:
    """The profile of a student at `size` (h, w). None where there is none; where it cannot be used, that is said."""
    path = path_of(student, size, folder)
    if not path.exists():
        return None
    try:
        profile = read_profile(path)
        shipped = load_student(student, size)
        if profile.weights.card[START] != fingerprint(shipped):
            raise ModelError("it was taught from other weights than those that come with this version")
        for name, value in shipped.tensors.items():
            if name not in profile.weights.tensors or profile.weights.tensors[name].shape != value.shape:
                raise ModelError(f"its {name} is not this student's")
    except (OSError, JitMaskerError) as error:
        log.warning(
            "the profile %s is not used: %s; the shipped student begins. jm-train profile makes another", path, error
        )
        return None
    log.info("your profile begins: %s, %s", path, profile.gain)
    return profile


def read_profile(path: Path) -> Profile:
    """OSError where others could have written it, ModelError where it is none."""
    check_folder(path.parent)
    read_private(path)
    weights = load_weights(path)
    if START not in weights.card:
        raise ModelError("it does not say from which start it was taught")
    return Profile(path, weights)


def save_profile(weights: StudentWeights, token: str, store: FrameStore) -> Path:
    """Whole or not at all, for this user alone.

    Raises
    ------
    ModelError
        Everything was forgotten meanwhile, and stays so.
    OSError
        It cannot be written.
    """
    path = path_of(weights.student, weights.size, store.folder)
    with store.locked(10.0):
        if store.token != token:
            raise ModelError("the profile was forgotten meanwhile; nothing is written")
        save_weights(path, weights, half=False, mode=0o600)
    return path


def profiles_in(folder: Path) -> list[Path]:
    """The files of all profiles, readable or not."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))
