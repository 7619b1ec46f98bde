"""A synthetic person with a striped board in front of the room, which moves; the teacher knows the person only."""

import numpy as np

from engine.sources.synthetic import SyntheticPerson

SIDE = (110, 150)  # (h, w) of the board, px of 480
STRIPES = ((20, 160, 240), (200, 40, 180))  # BGR


class SomebodyHolding:
    """`picture` and `mask` as those of `SyntheticPerson`: the board is in the one and not in the other."""

    def __init__(self, seed=5, size=SIDE):
        self._person, self._size = SyntheticPerson(width=480, height=480, seed=seed), size

    def thing(self, i):
        """bool (480, 480)"""
        there = np.zeros((480, 480), bool)
        h, w = self._size
        top, left = 40 + round(25 * np.sin(i / 9)), 20 + round(20 * np.sin(i / 6))
        there[top : top + h, left : left + w] = True
        return there

    def picture(self, i):
        bgr, there = self._person.picture(i).copy(), self.thing(i)
        stripes = np.array(STRIPES, np.uint8)[np.arange(480) // 12 % 2]
        bgr[there] = np.broadcast_to(stripes[None], bgr.shape)[there]
        return bgr

    def mask(self, i):
        mask = self._person.mask(i).copy()
        mask[self.thing(i)] = 0
        return mask

    def stroke(self, i):
        """Points from one corner of the board to the other."""
        rows, columns = np.nonzero(self.thing(i))
        ends = [(columns.min() + 15, rows.min() + 15), (columns.max() - 15, rows.max() - 15)]
        return [(x / 480, y / 480) for x, y in ends]
