"""The guard: whether what the student says of a frame can be believed, and what is left of it where it cannot.

    ok       it is painted as it is
    unsure   a scene begins, the student sees shadows of people all over the room, or the witness contradicts it: what
             is doubtful is background, and edges are drawn in
    covered  there is nothing that could be believed: the background alone

Each frame is looked at on a coarse grid, which costs next to nothing. The witness, another student, is asked only where
that arouses suspicion, and where a student paints its first frame. `Trust` decides, from numbers alone.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import cv2
import numpy as np

from kernels import Kernels

from .contrast import STRETCH
from .loaded_student import LoadedStudent
from .scene import SceneDetector
from .witness import Witness, added

GRID = (48, 64)  # rows, columns of the grid that is looked at: those of the scene detector's samples
SURE = 2.2  # logit of .9: from there it is a person, below -SURE it is not; between, it is mixed
REACH = 3  # cells of the grid around a sure person in which a shadow may be their edge
DRAWN_IN = (0.5, 0.6)  # of the sigmoid, which become 0 and 1 while the student is unsure; else STRETCH
FRESH = (0.6, 0.8)  # likewise, at the start of a scene: furniture is taken for a person there with .5 to .7 mostly
ONLY_SURE = (0.8, 0.95)  # likewise, where most of what it sees are shadows

MAX_AREA = 0.9  # share of the frame; a person who covers more is nearer to a camera than people sit
MAX_MIXED = 0.3  # share of the frame that is mixed; honest students stay below .17 where there is somebody
HOPELESS = 0.8  # likewise, from where there is nothing to believe; honest students over strange pictures: up to .57
MAX_APPEARED = 0.02  # share of the frame that is a person at once where the picture stood still; honest: up to .015
MAX_CAME = 0.15  # and wherever; honest: up to .08, but for cuts
MAX_ADDED = 0.1  # share of the frame where only the student sees a person, and not the witness; honest: up to .073
STILL = 6  # grey levels; a larger change of a pixel is motion

MANY_SHADOWS = 0.1  # share of the frame: above, and where there is less of a sure person, that alone is painted
SHADOWS, FEW_SHADOWS = 0.012, 0.006  # shares of the frame: above, the student becomes unsure; below, it earns trust
EARNED_AFTER = 12  # frames in a row with few shadows
STALE_AFTER = 75  # frames; a scene is no longer fresh
ASKED_AGAIN = 12  # frames; a suspicion that lasts is put to the witness so often


@dataclass(frozen=True, slots=True)
class Signs:
    """What one answer of the student looks like: shares of the frame, in [0, 1]."""

    area: float  # is a person
    sure: float  # certainly is one
    mixed: float  # may be one or not
    shadows: float  # is rather not one, and not near anybody either
    came: float  # is a person, and was none one frame before
    appeared: float  # likewise, and did not move


class Trust:
    """Pure: numbers in, decisions out."""

    def __init__(self) -> None:
        self.unsure = True
        self.stretch = FRESH  # what of the sigmoid becomes alpha 0 and 1 on the next frame
        self._frames = 0  # of this scene
        self._calm = 0  # frames in a row with few shadows, and none that was contradicted
        self._asked = ASKED_AGAIN  # frames since the witness was asked
        self._agreed = EARNED_AFTER  # frames since the witness contradicted

    def on_scene(self) -> None:
        """Another scene begins: trust has to be earned anew."""
        self.unsure, self.stretch, self._frames, self._calm = True, FRESH, 0, 0

    @property
    def settled(self) -> bool:
        """Whether nothing was doubtful on any of the last frames, as many as earn trust."""
        return not self.unsure and self._calm >= EARNED_AFTER

    def suspects(self, signs: Signs, new_student: bool) -> bool:
        """Whether the witness is to be asked about this frame."""
        lasting = signs.area > MAX_AREA or signs.mixed > MAX_MIXED
        self._asked += 1
        doubted = self._agreed < EARNED_AFTER
        ask = new_student or doubted or signs.appeared > MAX_APPEARED or signs.came > MAX_CAME
        if ask or (lasting and self._asked >= ASKED_AGAIN):
            self._asked = 0
            return True
        return False

    def update(self, signs: Signs, contradicted: bool) -> None:
        """After a frame. One that the witness contradicted has it asked about the next ones, too."""
        calm = not contradicted and signs.shadows <= FEW_SHADOWS and signs.mixed <= MAX_MIXED
        self._calm = self._calm + 1 if calm else 0
        if contradicted or signs.shadows > SHADOWS or signs.mixed > MAX_MIXED:
            self.unsure = True
        elif self._calm >= EARNED_AFTER:
            self.unsure = False
        self._agreed = 0 if contradicted else self._agreed + 1
        self._frames += 1
        if not self.unsure:
            self.stretch = STRETCH
        elif signs.shadows > max(MANY_SHADOWS, signs.sure):
            self.stretch = ONLY_SURE
        else:
            self.stretch = FRESH if self._frames < STALE_AFTER else DRAWN_IN


class Guard:
    """Looks at every frame of one stream. Used by the thread that paints.

    `threshold` : a logit, from where a pixel is painted. `trusted` : the first student is the shipped one. `wait` : for
    the witness, so that a run is repeatable.
    """

    def __init__(self, kernels: Kernels, threshold: float, trusted: bool, wait: bool = False):
        self._trust = Trust()
        self._threshold = threshold
        self._scene = SceneDetector()
        self._witness = Witness(kernels)
        self._trusted = trusted  # the student that paints says what the witness would say
        self._student: weakref.ref[LoadedStudent] | None = None  # that was looked at last; it may be gone
        self._shown = np.ones(GRID, np.uint8)  # where somebody was painted on the last frame; at first, anywhere
        self._logits = np.empty(GRID, np.float32)
        self._alpha = np.empty(GRID, np.float32)
        self._around = np.ones((2 * REACH + 1,) * 2, np.uint8)
        if wait or not trusted:
            self._witness.wait()

    # -- before the student ------------------------------------------------------------------------------------------

    @property
    def scene(self) -> int:
        """Of the last frame, counted from 0."""
        return self._scene.scene

    def begin(self, bgr: np.ndarray, timestamp: float) -> None:
        """A frame uint8 (H, W, 3) at `timestamp` (s), before it is painted."""
        before = self.scene
        if self._scene(bgr, timestamp) != before:
            self._trust.on_scene()

    def reset(self) -> None:
        """Another stream begins."""
        self._scene.reset()
        self._trust.on_scene()
        self._shown.fill(1)

    @property
    def unsure(self) -> bool:
        return self._trust.unsure

    @property
    def settled(self) -> bool:
        return self._trust.settled

    @property
    def stretch(self) -> tuple[float, float]:
        """What of the sigmoid becomes alpha 0 and 1 on this frame."""
        return self._trust.stretch

    # -- after it ----------------------------------------------------------------------------------------------------

    def objection(
        self, bgr: np.ndarray, student: LoadedStudent, logits: np.ndarray, alpha: np.ndarray, area: float
    ) -> str | None:
        """Why `student` is not believed on this frame; `alpha` is lowered in place then. None where it is.

        Parameters
        ----------
        bgr : uint8 (H, W, 3), the frame.
        logits : float32 (h, w), what the student said.
        alpha : float32 (h, w) in [0, 1], what is to be painted of it; `area` is its mean.
        """
        signs, objection = self._signs(logits, area), None
        if self._trust.suspects(signs, self._is_new(student)):
            objection = self._ask_witness(bgr, student.vouched, alpha, signs)
        self._trust.update(signs, contradicted=objection is not None)
        cv2.resize(alpha, GRID[::-1], dst=self._alpha, interpolation=cv2.INTER_NEAREST)
        np.greater(self._alpha, 0.25, out=self._shown.view(bool))
        return objection

    def _is_new(self, student: LoadedStudent) -> bool:
        """Whether this is its first frame."""
        last = self._student() if self._student is not None else None
        if last is student:
            return False
        if self._student is not None:
            self._trusted = False
        self._student = weakref.ref(student)
        return True

    def _ask_witness(self, bgr: np.ndarray, vouched: np.ndarray | None, alpha: np.ndarray, signs: Signs) -> str | None:
        """Why `alpha` cannot be believed; it is lowered then: nothing is painted that neither the witness sees nor the
        user vouches for.
        """
        seen = self._witness.alpha(bgr, alpha.shape[:2])
        if seen is None:
            if self._trusted:  # it would say the same; it is asked once it is there
                self._student = None
                return None
            alpha.fill(0)
            return "its mask is doubtful, and the shipped student is not there to compare"
        if vouched is not None:
            seen = np.maximum(seen, vouched)
        more = added(alpha, seen)
        if more <= MAX_ADDED and signs.mixed <= HOPELESS:
            return None
        np.minimum(alpha, seen, out=alpha)
        if more <= MAX_ADDED:
            return f"it does not know what {signs.mixed:.0%} of the frame is"
        return f"it sees a person on {more:.0%} of the frame where the shipped one sees none"

    def _signs(self, logits: np.ndarray, area: float) -> Signs:
        grid = cv2.resize(logits, GRID[::-1], dst=self._logits, interpolation=cv2.INTER_NEAREST)
        np.subtract(grid, self._threshold, out=grid)
        person, sure = grid > 0, grid > SURE
        mixed = (grid > -SURE) & ~sure
        near = cv2.dilate(sure.view(np.uint8), self._around)
        shadows = _share(mixed & ~person & (near == 0))
        new = person & (self._shown == 0)
        came = appeared = _share(new)
        if came > MAX_APPEARED:
            appeared = _share(new & (self._scene.change() <= STILL))
        return Signs(area, _share(sure), _share(mixed), shadows, came, appeared)


def _share(grid: np.ndarray) -> float:
    return np.count_nonzero(grid) / grid.size
