"""The recipe that a network starts from, on a small set of numbers to learn."""

from pathlib import Path

import numpy as np
import pytest

import mirada
from mirada.data.examples.hands import write_ages


@pytest.mark.slow
def test_numbers_are_learnt_from_few_images_with_the_default_recipe(tmp_path: Path) -> None:
    """272 drawn hands to train on; SGD at 0.02, for one, stays at the mean here, and diverges with resnet18."""
    write_ages(tmp_path / "ages", count=400, size=64)
    for model, epochs, share in (("resnet20", 15, 0.8), ("resnet18", 3, 1.5)):
        run = mirada.train(
            tmp_path / "ages",
            model=model,
            image_size=32,
            epochs=epochs,
            output=tmp_path / model,
            device="cpu",
        )
        index = mirada.load_data(tmp_path / "ages")
        spread = np.abs(index.targets - np.median(index.targets)).mean()
        errors = {metric.key: metric.value for metric in run.evaluations["test"].metrics}
        assert errors["mae"] < share * spread
