"""Labels that were made wrong on purpose are found by folds of a small network."""

from pathlib import Path

import numpy as np
import pytest

from mirada import cross_validate
from mirada.data.examples.shapes import write_shapes


def flipped(root: Path, share: float, seed: int) -> set[str]:
    """Moves some images into another class's folder; the names that they have there."""
    draw = np.random.default_rng(seed)
    files = sorted(root.rglob("*.png"))
    names = sorted({file.parent.name for file in files})
    moved = set()
    for row in sorted(draw.choice(len(files), round(share * len(files)), replace=False).tolist()):
        others = [name for name in names if name != files[row].parent.name]
        place = root / others[draw.integers(len(others))] / files[row].name
        files[row].rename(place)
        moved.add(place.relative_to(root).as_posix())
    return moved


@pytest.mark.slow  # a minute and a half: fewer images, or epochs, and the network has not learnt the shapes
def test_four_in_five_of_flipped_labels_are_in_the_first_tenth(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", count=2000)
    root = tmp_path / "shapes" / "train"
    wrong = flipped(root, 0.05, seed=0)
    done = cross_validate(
        root,
        folds=2,
        model="resnet20",
        epochs=14,
        image_size=32,
        batch_size=16,
        lr=0.003,
        device="cpu",
        precision="float32",
        output=tmp_path / "folds",
    )
    assert done.suspects and done.suspects.wrong is not None
    first = {each.path for each in done.suspects.ranked[: len(done.suspects.ranked) // 10]}
    assert len(wrong & first) >= 0.8 * len(wrong)
    of_suspected = [each.path in wrong for each in done.suspects.suspected]
    assert np.mean(of_suspected) > 0.5  # of those that are pointed out, most are wrong
    assert len(wrong) / 2 < done.suspects.wrong < 2 * len(wrong)
