"""People and rooms that tests make for themselves, in the layout that the benches on made clips read."""

import cv2
import numpy as np

PAPER = (200, 180, 160)  # of a portrait's wall, BGR


def people_and_rooms(folder):
    """What `benchmarks.harness.cutouts.Data` reads: anna and ben, who are a red square before a light wall, and the
    rooms hall and attic. Returns the folder."""
    for place in ("people/valid/images", "people/valid/masks", "backgrounds"):
        (folder / place).mkdir(parents=True)
    for name, red in (("anna", 220), ("ben", 120)):
        mask = np.zeros((160, 120), np.uint8)
        mask[60:, 30:90] = 255
        bgr = np.full((160, 120, 3), PAPER, np.uint8)
        bgr[mask > 0] = (20, 30, red)
        cv2.imwrite(str(folder / "people/valid/masks" / f"{name}.png"), mask)
        cv2.imwrite(str(folder / "people/valid/images" / f"{name}.jpg"), bgr)
    for name, seed in (("hall", 1), ("attic", 2)):
        coarse = np.random.default_rng(seed).integers(40, 216, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "backgrounds" / f"{name}.jpg"), cv2.resize(coarse, (320, 240)))
    return folder
