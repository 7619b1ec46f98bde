"""Datasets with masks, by name: what is in them, where they are had, and an error that says both. Loads through
`training.datasets`, which knows the layouts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageError
from training.datasets import Sample, load_dataset


@dataclass(frozen=True)
class KnownDataset:
    """A published dataset."""

    title: str
    layout: str  # what has to be in its folder
    where: str  # it is had
    option: str  # that names its folder


DATASETS = {
    "davis": KnownDataset(
        "DAVIS 2016", "JPEGImages/480p/SEQUENCE/*.jpg and Annotations/480p/SEQUENCE/*.png",
        "davischallenge.org/davis2016/code.html (DAVIS-data.zip, 1.9 GB)", "--davis DIR",
    ),
    "supervisely": KnownDataset(
        "Supervisely Person", "dsN/img/NAME and dsN/ann/NAME.json",
        "supervisely.com/explore/projects/supervisely-person-dataset-23304 (an account is needed)", "--supervisely DIR",
    ),
    "masks": KnownDataset(
        "images and masks", "images/NAME.* and masks/NAME.*, 255 = person", "any set of your own", "--masks DIR",
    ),
}  # fmt: skip


def open_dataset(name: str, folder: str | Path, every: int = 1) -> list[Sample]:
    """Every `every`th sample of the dataset called `name`, a key of DATASETS, in `folder`.

    Raises
    ------
    UsageError
        The folder, an image or a mask is missing or cannot be read; the message names it and where the dataset is had.
    """
    known = DATASETS[name]
    try:
        return load_dataset(folder)[::every]
    except UsageError as error:
        raise UsageError(
            f"{known.title} cannot be read: {error}. {known.option} wants {known.layout}; it is had at {known.where}"
        ) from error
