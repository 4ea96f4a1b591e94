"""The script that draws the pictures of the guide to explanations."""

import importlib.util
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parents[2] / "docs" / "guide" / "explain_pictures.py"


def test_maps_lie_side_by_side_with_their_boxes_and_photos_only_on_request(
    trained: Path, shapes: Path
) -> None:
    spec = importlib.util.spec_from_file_location("explain_pictures", SCRIPT)
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    names = [path.name for path in sorted((shapes / "test").rglob("*.png"))[:6]]
    bare, shown = (
        np.asarray(script.picture(str(trained), str(shapes), names, None, photos=photos))
        for photos in (False, True)
    )
    assert bare.shape == shown.shape and bare.shape[1] == script.WIDTH
    side = script.HEIGHT
    assert bare.shape[0] > 2 * side  # four tiles of a square photo in the first row, two in the second
    for picture in (bare, shown):
        for left in (0, side + script.GAP):
            tile = picture[:side, left : left + side]
            assert (tile == 0).all(
                axis=2
            ).sum() > 4 * 10  # the lines of a box, which map and photo do not hold
    assert np.abs(bare[:side, :side].astype(int) - shown[:side, :side]).max() > 50
