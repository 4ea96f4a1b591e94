"""Preprocessing as a value: checked, written and read, and with a key of what decides a decoded pixel."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mirada.codec import from_json, to_json
from mirada.data.pixels import preprocessing as module
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import InvalidArgument

GREY = {"mode": "L", "mean": (0.5,), "std": (0.25,)}


def test_it_survives_json() -> None:
    deep = Preprocessing(size=(48, 64), policy="pad", depth=16, window="1%..99%", clahe=2.5, **GREY)  # type: ignore[arg-type]
    for value in (Preprocessing(), deep):
        assert from_json(Preprocessing, json.loads(json.dumps(to_json(value)))) == value


def test_the_type_of_a_pixel_follows_the_depth() -> None:
    assert Preprocessing().dtype == np.uint8
    assert Preprocessing(depth=16).dtype == np.uint16


def test_channels_follow_the_mode() -> None:
    assert Preprocessing().channels == 3
    assert Preprocessing(**GREY).channels == 1  # type: ignore[arg-type]


def test_the_key_names_what_decides_a_pixel_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Preprocessing()
    assert base.decode_key == replace(base, mean=(0.5,) * 3, std=(2.0,) * 3).decode_key
    grey = Preprocessing(**GREY)  # type: ignore[arg-type]
    keys = {
        value.decode_key
        for value in (
            base,
            replace(base, size=(224, 225)),
            replace(base, policy="crop"),
            replace(base, policy="crop", resize=224),
            replace(base, policy="crop", resize=256),
            replace(base, depth=16),
            replace(base, window="full"),
            replace(base, clahe=2),
            grey,
        )
    }
    assert replace(base, clahe=2).decode_key == replace(base, clahe=2.0).decode_key
    monkeypatch.setattr(module, "DECODER_VERSION", module.DECODER_VERSION + 1)
    assert len(keys | {base.decode_key}) == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            (
                {"resize": resize, "policy": policy},
                '`resize` of Preprocessing goes with the policy "crop" and is at least the shorter side of `size`. Got '
                f"{resize}, '{policy}' and (224, 224).",
            )
            for resize, policy in ((223, "crop"), (256, "stretch"), (256, "pad"), (-1, "crop"))
        ),
        ({"mode": "CMYK"}, '`mode` of Preprocessing must be "L" (grey) or "RGB". Got \'CMYK\'.'),
        (
            {"policy": "fit"},
            '`policy` of Preprocessing must be "crop", "frame", "pad" or "stretch". Got \'fit\'.',
        ),
        ({"depth": 12}, "`depth` of Preprocessing must be 8 or 16 (bits). Got 12."),
        *(
            (
                {"clahe": limit},
                f"`clahe` of Preprocessing must be 0 (off) or a clip limit of at least 1. Got {limit!r}.",
            )
            for limit in (0.5, -1, float("nan"), float("inf"))
        ),
        (
            {"window": "bright"},
            '`window` must be "auto", "full", "file", two percentiles such as "1%..99%" or two values such as '
            '"-200..400", the lower first. Got "bright".',
        ),
        *(
            (
                {"size": size},
                f"`size` of Preprocessing must be (height, width), whole numbers ≥ 1. Got {size!r}.",
            )
            for size in ((0, 5), (5, -1), (5,), (5, 5, 3), (5.0, 5), (True, 5))
        ),
        *(
            (
                changes,
                "`mean` and `std` of Preprocessing need 3 values each, std above 0. "
                f"Got {changes.get('mean', (0.0,) * 3)!r} and {changes.get('std', (1.0,) * 3)!r}.",
            )
            for changes in (
                {"mean": (0.5,)},
                {"std": (1.0, 1.0)},
                {"std": (1.0, 0.0, 1.0)},
                {"std": (1.0, float("nan"), 1.0)},
            )
        ),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Preprocessing(**changes)  # type: ignore[arg-type]
    assert str(caught.value) == message
