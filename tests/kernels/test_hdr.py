"""HDR as SDR: the kernel against its specification, and the specification against what the standards print."""

import numpy as np
import pytest

from kernels import hdr
from kernels.fused import hdr as fused

SIZES = [(1, 1), (5, 7), (37, 53), (240, 320)]
KINDS = [("pq", "bt2020", "bt2020"), ("hlg", "bt2020", "bt2020"), ("sdr", "bt2020", "bt2020"), ("sdr", "p3", "bt709")]


def planes_of(size, levels):
    """A picture of one colour: `levels` of Y, U, V, 10 bits, with rows that are wider than the picture."""
    H, W = size
    shapes = (H, W + 3), *[(-(-H // 2), -(-W // 2) + 1)] * 2
    return [np.full(shape, level, np.uint16) for shape, level in zip(shapes, levels, strict=True)]


def shown(tones, y, u=512, v=512):
    return hdr.bgr_from_hdr(*planes_of((1, 1), (y, u, v)), tones, np.empty((1, 1, 3), np.uint8))[0, 0].astype(int)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("transfer", "primaries", "standard"), KINDS)
@pytest.mark.parametrize("full", [False, True])
def test_the_kernel_is_its_specification_to_two_levels(size, transfer, primaries, standard, full):
    tones, rng = hdr.tone_map(transfer, primaries, standard, full, 1000.0), np.random.default_rng(3)
    planes = [rng.integers(0, 1024, plane.shape, np.uint16) for plane in planes_of(size, (0, 0, 0))]
    expected = hdr.bgr_from_hdr(*planes, tones, np.empty((*size, 3), np.uint8)).astype(int)
    actual = fused.bgr_from_hdr(*planes, tones, np.empty((*size, 3), np.uint8))
    assert np.abs(actual - expected).max() <= 2


def test_pq_is_that_of_st_2084():
    """BT.2408, table 1: 100 cd/m² are 51 % of the signal, 203 are 58 %, 1000 are 75 %."""
    assert np.allclose(hdr.nits_to_pq(np.array([100.0, 203.0, 1000.0])), [0.508, 0.581, 0.752], atol=5e-4)
    signal = np.linspace(0, 1, 50)
    assert np.allclose(hdr.nits_to_pq(hdr.pq_to_nits(signal)), signal, atol=1e-5)


def test_hlg_is_that_of_bt_2100():
    assert np.allclose(hdr.hlg_to_scene(np.array([0.0, 0.5, 0.75, 1.0])), [0, 1 / 12, 0.265, 1], atol=5e-4)


def test_the_roll_off_keeps_what_is_dark_and_brings_the_peak_to_white():
    nits = np.linspace(0, 1000, 400)
    mapped = hdr.roll_off(nits, 1000.0, 203.0)
    assert np.allclose(mapped[nits < 80], nits[nits < 80])
    assert mapped[-1] == pytest.approx(203)
    assert (np.diff(mapped) > 0).all()
    assert (mapped <= nits + 1e-6).all()


@pytest.mark.parametrize(("transfer", "peak"), [("pq", 1000.0), ("pq", 4000.0), ("pq", 100.0), ("hlg", 1000.0)])
def test_black_is_black_grey_is_grey_and_the_brightest_is_white(transfer, peak):
    tones = hdr.tone_map(transfer, "bt2020", "bt2020", False, peak)
    assert shown(tones, 64).max() == 0
    brightest = float(hdr.nits_to_pq(peak)) if transfer == "pq" else 1.0
    assert shown(tones, round(64 + 876 * brightest)).min() >= 253
    for y in range(64, 941, 50):
        assert np.ptp(shown(tones, y)) <= 1


def test_a_red_of_bt_709_that_was_sent_in_bt_2020_is_that_red_again():
    """BT.2087: a red of half the light is coded in BT.2020 and PQ, and comes back as BT.709's level."""
    rgb = np.linalg.inv(hdr._to_xyz(hdr.PRIMARIES["bt2020"])) @ hdr._to_xyz(hdr.PRIMARIES["bt709"]) @ [0.3, 0.02, 0.02]
    r, g, b = hdr.nits_to_pq(rgb * hdr.SDR_WHITE)
    luma = 0.2627 * r + 0.678 * g + 0.0593 * b
    levels = 64 + 876 * luma, 512 + 896 * (b - luma) / 1.8814, 512 + 896 * (r - luma) / 1.4746
    level = shown(hdr.tone_map("pq", "bt2020", "bt2020", False, 1000.0), *np.rint(levels).astype(int))
    assert np.abs(level - 255 * np.array([0.02, 0.02, 0.3]) ** (1 / 2.4)).max() <= 2


def test_wide_gamut_sdr_keeps_its_greys():
    tones = hdr.tone_map("sdr", "bt2020", "bt2020", False, 1000.0)
    for y in range(64, 941, 73):
        assert np.abs(shown(tones, y) - 255 * (y - 64) / 876).max() <= 1
