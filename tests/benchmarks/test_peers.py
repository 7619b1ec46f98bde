"""The authors' way paints what ours paints: otherwise its time would be that of something else."""

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.peers import authors
from engine.sources.synthetic import SyntheticPerson
from export.publish import load_student
from kernels import reference
from training.students import Student


def test_a_picture_is_made_rgb_and_normalised_at_the_students_size():
    image = authors.preprocess(np.full((12, 16, 3), (10, 20, 30), np.uint8), (6, 8))
    assert image.shape == (1, 3, 6, 8)
    for channel, value in enumerate((30, 20, 10)):
        expected = (value / 255 - authors.MEAN[channel]) / authors.STD[channel]
        np.testing.assert_allclose(image[0, channel].numpy(), expected, rtol=1e-5)


def test_the_preprocessed_picture_is_that_of_our_kernel():
    bgr = SyntheticPerson(width=96, height=72).picture(0)
    ours = np.empty((1, 3, 72, 96), np.float32)  # the picture's own size: how each shrinks it does not matter
    reference.preprocess(bgr, authors.MEAN, authors.STD, ours)
    np.testing.assert_allclose(authors.preprocess(bgr, (72, 96)).numpy(), ours, atol=1e-5)


def test_the_composite_is_that_of_our_kernel_within_one_grey_level():
    rng = np.random.default_rng(0)
    bgr, background = rng.integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    matte = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    alpha = (matte.astype(np.float32) + 0.5) / 255  # theirs cuts off, and a half keeps it at `matte`
    ours = reference.composite(bgr, matte, background, np.empty_like(bgr)).astype(int)
    assert np.abs(authors.composite(bgr, alpha, background) - ours).max() <= 1


def test_the_network_is_our_jitnet_with_its_last_convolution_after_the_upsample():
    jitnet = Student("jitnet")
    jitnet.load_weights(load_student("jitnet", authors.SIZE).tensors)
    image = authors.preprocess(SyntheticPerson(width=160, height=120).picture(0), authors.SIZE)
    with torch.no_grad():
        expected = torch.sigmoid(F.interpolate(jitnet.eval()(image), authors.SIZE, mode="bilinear"))[0, 0].numpy()
    actual = authors.predict(authors.student().eval(), image)  # theirs takes the statistics of each frame: not here
    assert actual.shape == authors.SIZE
    assert expected.std() > 0.01
    np.testing.assert_allclose(actual, expected, atol=1e-4)
