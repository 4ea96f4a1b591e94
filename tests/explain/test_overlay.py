"""Maps come back to the pixels they belong to, and colours say what the numbers say."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from mirada.data.pixels.decode import decode
from mirada.data.pixels.fit import resize_to_photo
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import InvalidArgument
from mirada.explain.overlay import (
    LOWERS,
    RAISES,
    colour_bar,
    enlarged,
    limit_of,
    overlay,
    tinted,
    with_colour_bar,
)

GREY = np.full((4, 6, 3), 128, dtype=np.uint8)


def some_map(height, width):
    return np.random.default_rng(height * 100 + width).normal(size=(height, width)).astype(np.float32)


def lab(rgb):
    """sRGB, 0 … 255, to CIE L*a*b* (D65), as IEC 61966-2-1 and CIE 15 define them."""
    value = np.asarray(rgb, dtype=float) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.072175],
        [0.0193339, 0.119192, 0.9503041],
    ]
    x, y, z = np.moveaxis(linear @ np.transpose(to_xyz) / [0.95047, 1, 1.08883], -1, 0)
    x, y, z = (np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116) for t in (x, y, z))
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


# ---- resize_to_photo ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [(7, 7), (1, 1), (4, 5), (14, 3)])
@pytest.mark.parametrize("original", [(224, 224), (31, 57), (5, 3), (1, 1)])
def test_stretch_is_torch_interpolate(native, original):
    grid = some_map(*native)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(grid).double()[None, None], size=original, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    placed = resize_to_photo(grid, size=(64, 96), policy="stretch", original=original)
    assert placed.dtype == np.float32
    np.testing.assert_allclose(placed, expected, atol=1e-6)


@pytest.mark.parametrize("original", [(20, 35), (33, 20), (64, 128), (100, 100), (3, 50)])
def test_pad_is_the_part_of_the_input_without_bars(original):
    """The map drawn on the input, its bars cut off, then scaled as the photo was."""
    size, grid = (32, 64), some_map(4, 8)
    scale = min(size[0] / original[0], size[1] / original[1])
    height, width = (max(1, round(side * scale)) for side in original)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    rows = top + (np.arange(original[0]) + 0.5) * height / original[0]
    columns = left + (np.arange(original[1]) + 0.5) * width / original[1]
    expected = read_at(grid, rows / size[0], columns / size[1])
    np.testing.assert_allclose(
        resize_to_photo(grid, size=size, policy="pad", original=original), expected, atol=1e-6
    )


@pytest.mark.parametrize("original", [(20, 35), (33, 20), (64, 128), (100, 100), (300, 50)])
def test_crop_is_nan_exactly_where_the_cut_is(original):
    size, grid = (32, 48), some_map(4, 6)
    scale = max(size[0] / original[0], size[1] / original[1])
    height, width = (max(1, round(side * scale)) for side in original)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    rows = (np.arange(original[0]) + 0.5) * height / original[0] - top
    columns = (np.arange(original[1]) + 0.5) * width / original[1] - left
    seen = ((rows >= 0) & (rows <= size[0]))[:, None] & ((columns >= 0) & (columns <= size[1]))
    placed = resize_to_photo(grid, size=size, policy="crop", original=original)
    np.testing.assert_array_equal(np.isfinite(placed), seen)
    expected = read_at(grid, rows / size[0], columns / size[1])
    np.testing.assert_allclose(placed[seen], expected[seen], atol=1e-6)


def test_what_a_larger_crop_leaves_out_has_no_map() -> None:
    """Of 300 × 400 pixels with a shorter side of 256, the middle 224."""
    heat = resize_to_photo(
        np.ones((7, 7), dtype=np.float32), size=(224, 224), policy="crop", original=(300, 400), resize=256
    )
    rows, columns = (np.flatnonzero(np.isfinite(heat).any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1]) == (19, 280)  # from 18.75 to 281.25
    assert (columns[0], columns[-1]) == (68, 330)  # of 341 columns, 58 are cut off on the left


def read_at(grid, rows, columns):
    """The map at relative positions (0 … 1 over the input), by torch's own sampler."""
    points = np.stack(np.meshgrid(2 * columns - 1, 2 * rows - 1), axis=-1)
    return torch.nn.functional.grid_sample(
        torch.from_numpy(grid).double()[None, None],
        torch.from_numpy(points)[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )[0, 0].numpy()


def decoded(photo, size, policy):
    """What the network would see of the photo, by the decoder itself."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    preprocessing = Preprocessing(mode="L", size=size, policy=policy, mean=(0.0,), std=(1.0,))
    return decode(file.getvalue(), preprocessing)[..., 0]


@pytest.mark.parametrize("policy", ["stretch", "pad", "frame", "crop"])
@pytest.mark.parametrize("original", [(120, 300), (301, 117), (90, 90)])
def test_a_spot_lands_on_the_pixels_it_was_made_from(policy, original):
    """A white square in the photo goes through the decoder and comes back, to half a pixel."""
    size = (64, 64)
    middle = (original[0] // 2 + 9, original[1] // 2 - 13)
    photo = np.zeros(original, dtype=np.uint8)
    photo[middle[0] - 6 : middle[0] + 7, middle[1] - 6 : middle[1] + 7] = 255
    seen = decoded(photo, size, policy).astype(np.float32)
    heat = np.nan_to_num(resize_to_photo(seen, size=size, policy=policy, original=original))
    rows, columns = np.indices(original)
    centre = (heat * rows).sum() / heat.sum(), (heat * columns).sum() / heat.sum()
    np.testing.assert_allclose(centre, middle, atol=0.5)
    assert heat[middle] > 240 and heat.sum() == pytest.approx(photo.sum(), rel=0.1)


@pytest.mark.parametrize("policy", ["stretch", "pad", "frame", "crop"])
def test_one_cell_is_largest_at_its_own_place(policy):
    size, original = (56, 56), (112, 168)
    scale = {"stretch": None, "pad": 1 / 3, "frame": 1 / 3, "crop": 1 / 2}[policy]
    for row, column in [(2, 3), (3, 2), (4, 4)]:
        grid = np.zeros((7, 7), dtype=np.float32)
        grid[row, column] = 1
        heat = resize_to_photo(grid, size=size, policy=policy, original=original)
        peak = np.unravel_index(np.nanargmax(heat), original)
        y, x = 8 * row + 4, 8 * column + 4  # the cell's centre in the input
        expected = (y * 2, x * 3) if scale is None else ((y - 28) / scale + 56, (x - 28) / scale + 84)
        np.testing.assert_allclose(np.add(peak, 0.5), expected, atol=2)


def test_crop_of_a_wide_photo_shows_its_middle_third():
    heat = resize_to_photo(np.ones((2, 2), dtype=np.float32), size=(10, 10), policy="crop", original=(10, 30))
    assert np.isnan(heat[:, :10]).all() and np.isnan(heat[:, 20:]).all()
    assert (heat[:, 10:20] == 1).all()


@pytest.mark.parametrize("policy", ["stretch", "pad", "frame", "crop"])
def test_a_constant_map_stays_constant(policy):
    heat = resize_to_photo(
        np.full((3, 3), -2, dtype=np.float32), size=(9, 15), policy=policy, original=(7, 40)
    )
    assert set(np.unique(heat[np.isfinite(heat)])) == {-2}


def test_unknown_policy():
    with pytest.raises(InvalidArgument, match=r'no size policy "padd"\. Did you mean "pad"\?'):
        resize_to_photo(some_map(2, 2), size=(4, 4), policy="padd", original=(4, 4))


@pytest.mark.parametrize(
    "shapes", [((2,), (4, 4), (4, 4)), ((2, 2), (0, 4), (4, 4)), ((2, 2), (4, 4), (4, 0))]
)
def test_shapes_without_a_pixel(shapes):
    native, size, original = shapes
    with pytest.raises(InvalidArgument, match=r"`native` must be \(h, w\), and every side .* at least 1"):
        resize_to_photo(np.zeros(native, dtype=np.float32), size=size, policy="pad", original=original)


# ---- overlay -------------------------------------------------------------------------------------


def test_limit_is_the_largest_magnitude():
    assert limit_of(np.array([[0.5, -3.25], [np.nan, 2.0]], dtype=np.float32)) == 3.25


@pytest.mark.parametrize("blank", [np.zeros((2, 2)), np.full((2, 2), np.nan), np.zeros((0, 2))])
def test_limit_of_a_blank_map_is_one(blank):
    assert limit_of(blank.astype(np.float32)) == 1.0


def test_zero_leaves_the_hue():
    """Nothing but a little colour and brightness is lost: the order and the ratio of channels' distances stay."""
    photo = np.array([[[200, 120, 40], [30, 60, 220], [90, 90, 90]]], dtype=np.uint8)
    picture = overlay(photo, np.zeros((1, 3), dtype=np.float32), 1.0).astype(float)
    for before, after in zip(photo[0].astype(float), picture[0], strict=True):
        if np.ptp(before) == 0:
            assert np.ptp(after) <= 1
            continue
        chroma, left = before - before.mean(), after - after.mean()
        assert np.ptp(after) < np.ptp(before)
        assert chroma @ left / np.linalg.norm(chroma) / np.linalg.norm(left) > 0.999


def test_positive_is_redder_and_negative_bluer():
    heat = np.linspace(-1, 1, 6, dtype=np.float32)[None].repeat(4, axis=0)
    picture = overlay(GREY, heat, 1.0).astype(int)
    redness = picture[0, :, 0] - picture[0, :, 2]
    assert (np.diff(redness) > 0).all() and redness[0] < -100 and redness[-1] > 100


@pytest.mark.parametrize("ground", [0, 30, 128, 225, 255])
def test_difference_from_neutral_grows_with_the_value_and_is_alike_for_both_signs(ground):
    """CIE ΔE from the colour of 0 rises at every step, from almost nothing, at about the same rate both ways."""
    heat = np.linspace(-1, 1, 21, dtype=np.float32)[None]
    colours = lab(overlay(np.full((1, 21, 3), ground, dtype=np.uint8), heat, 1.0)[0])
    difference = np.linalg.norm(colours - colours[10], axis=1)
    negative, positive = difference[10::-1], difference[10:]
    assert (np.diff(negative) > 0).all() and (np.diff(positive) > 0).all()
    assert max(negative[1], positive[1]) < 0.15 * difference.max()
    np.testing.assert_allclose(negative, positive, rtol=0.35, atol=2)


def test_arms_have_the_same_lightness():
    np.testing.assert_allclose(lab(RAISES)[:, 0], lab(LOWERS)[:, 0], atol=1)
    assert (np.diff(lab(RAISES)[:, 0]) < 0).all()


def test_the_photo_can_be_read_under_full_strength():
    photo = np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8)
    for sign in (-1, 1):
        picture = overlay(photo, np.full((1, 2), sign, dtype=np.float32), 1.0)
        lightness = lab(picture[0])[:, 0]
        assert lightness[1] - lightness[0] > 10


def test_beyond_the_limit_looks_like_the_limit():
    heat = np.array([[-9, -2, 2, np.inf]], dtype=np.float32)
    picture = overlay(GREY[:1, :4], heat, 2.0)
    np.testing.assert_array_equal(picture[0, 0], picture[0, 1])
    np.testing.assert_array_equal(picture[0, 2], picture[0, 3])


def test_what_was_not_seen_is_dark_and_has_no_colour_of_the_map():
    heat = np.array([[np.nan, 0.0]], dtype=np.float32)
    unseen, seen = overlay(np.full((1, 2, 3), 200, dtype=np.uint8), heat, 1.0)[0].astype(int)
    assert np.ptp(unseen) == 0 and 0 < unseen[0] < 0.4 * seen[0]


def test_the_scale_is_relative_to_the_limit():
    heat = some_map(4, 6)
    np.testing.assert_array_equal(overlay(GREY, heat, 3.0), overlay(GREY, heat * 64, 192.0))


def test_overlay_does_not_write_to_its_arguments():
    photo, heat = GREY.copy(), some_map(4, 6)
    before = heat.copy()
    picture = overlay(photo, heat, 1.0)
    assert picture.dtype == np.uint8 and picture.shape == photo.shape
    np.testing.assert_array_equal(photo, GREY)
    np.testing.assert_array_equal(heat, before)


@pytest.mark.parametrize(
    ("photo", "heat"),
    [
        (GREY[..., 0], np.zeros((4, 6))),
        (GREY, np.zeros((6, 4))),
        (GREY / 255, np.zeros((4, 6))),
        (np.zeros((4, 6, 4), dtype=np.uint8), np.zeros((4, 6))),
    ],
)
def test_shapes_that_do_not_match(photo, heat):
    with pytest.raises(InvalidArgument, match=r"`photo` must be \(H, W, 3\) uint8 and `heat` \(H, W\)"):
        overlay(photo, heat, 1.0)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_no_positive_number(limit):
    with pytest.raises(InvalidArgument, match=r"`limit` of a colour scale must be a number above 0\. Got"):
        overlay(GREY, np.zeros((4, 6), dtype=np.float32), limit)


def test_on_a_real_photo_detail_stays(shared_data):
    """The brightness of the photo and of its overlay go together, whatever the map says."""
    file = shared_data / "photos" / "n02206856_bee.JPEG"
    photo = np.asarray(Image.open(file).convert("RGB").resize((120, 90)))
    heat = resize_to_photo(some_map(7, 7), size=(224, 224), policy="stretch", original=(90, 120))
    picture = overlay(photo, heat, limit_of(heat))
    assert np.corrcoef(lab(photo)[..., 0].ravel(), lab(picture)[..., 0].ravel())[0, 1] > 0.9


# ---- colour bar ----------------------------------------------------------------------------------


def ink(picture):
    """Where there is dark text."""
    return (picture < 120).all(axis=2)


@pytest.mark.parametrize("width", [64, 65, 100, 224, 500, 1024, 4000])
@pytest.mark.parametrize("unit", ["", "logits", "months of bone age"])
@pytest.mark.parametrize("limit", [0.000123, 3.0, 123456.0])
def test_bar_fits_its_width(width, unit, limit):
    bar = colour_bar(limit, unit, width=width)
    assert bar.shape[1:] == (width, 3) and bar.dtype == np.uint8
    written = ink(bar)
    assert written.any()
    assert not written[:, [0, -1]].any() and not written[[0, -1]].any(), "text must not touch the edge"
    text_height = np.flatnonzero(written.any(axis=1))
    assert np.ptp(text_height) + 1 >= 7


def test_bar_shows_the_colours_of_the_overlay():
    bar = colour_bar(2.0, width=300)
    row = bar[bar.shape[0] // 4]
    coloured = row[(row != 255).any(axis=1)]
    expected = overlay(
        np.full((1, len(coloured), 3), 225, dtype=np.uint8),
        np.linspace(-2, 2, len(coloured), dtype=np.float32)[None],
        2.0,
    )
    np.testing.assert_array_equal(coloured, expected[0])


def test_labels_say_the_limit(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "mirada.explain.overlay._Type.write", lambda self, draw, corner, text: drawn.append(text)
    )
    colour_bar(12.345, "months", width=400)
    assert drawn == ["−12.3 months", "0", "+12.3 months"]
    drawn.clear()
    colour_bar(1234.5, "months of bone age", width=150)
    assert drawn[:3] == ["−1234", "0", "+1234"] and " ".join(drawn[3:]) == "months of bone age"
    drawn.clear()
    colour_bar(0.0337, "µm²", width=64)
    assert " ".join(drawn) == "±0.0337 um2"
    drawn.clear()
    colour_bar(4e-7, width=400)
    assert drawn == ["−4.00e−07", "0", "+4.00e−07"]


def test_text_that_the_font_cannot_draw_is_spelled_out(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "mirada.explain.overlay._Type.write", lambda self, draw, corner, text: drawn.append(text)
    )
    with_colour_bar(np.zeros((9, 600, 3), dtype=np.uint8), 1.0, caption="niño · Größe − 5 × 3 骨")
    assert drawn[-1] == "nino · Grosse − 5 x 3 ?"


@pytest.mark.parametrize("width", [64, 200, 1500])
def test_picture_stays_above_its_bar_and_caption(width):
    picture = np.random.default_rng(0).integers(0, 256, size=(40, width, 3)).astype(np.uint8)
    whole = with_colour_bar(picture, 1.5, "logits", caption="a_long_name_without_a_space_in_it.png · cat")
    np.testing.assert_array_equal(whole[:40], picture)
    bar = colour_bar(1.5, "logits", width=width)
    np.testing.assert_array_equal(whole[40 : 40 + len(bar)], bar)
    written = ink(whole[40 + len(bar) :])
    assert written.any() and not written[:, [0, -1]].any() and not written[-1].any()


def test_a_minus_is_as_long_as_a_plus_and_a_space_can_be_seen():
    """In ink on the bar: the minus of the left end, the plus of the right end, and the gaps before the unit."""
    bar = ink(colour_bar(1.48, "logits", width=400))
    rows = np.flatnonzero(bar.any(axis=1))
    columns = np.flatnonzero(bar[rows[0] : rows[-1] + 1].any(axis=0))
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    minus, plus = runs[0], next(run for run in runs if run[0] > 300 and len(run) >= 4)
    assert abs(len(minus) - len(plus)) <= 2 and len(minus) >= 4
    assert np.count_nonzero(bar[:, minus[0] + 1]) <= 2, "a stroke, not a letter"
    gaps = np.diff(columns)
    assert gaps[columns[:-1] < 200].max() >= 4


CAPTION = "evidence for 7 · Grad-CAM at stage1"


@pytest.mark.parametrize("size", [(28, 28), (28, 13), (100, 40), (1, 1), (223, 223), (224, 224), (900, 1200)])
def test_small_pictures_are_enlarged_for_their_words(size):
    """By a whole factor, each pixel repeated, and no more than needed; large ones stay."""
    picture = np.random.default_rng(0).integers(0, 256, size=(*size, 3)).astype(np.uint8)
    large = enlarged(picture, CAPTION, "logits")
    factor = large.shape[1] // size[1]
    assert large.shape == (size[0] * factor, size[1] * factor, 3)
    np.testing.assert_array_equal(large[::factor, ::factor], picture)
    assert large.shape[1] >= 224 > size[1] * (factor - 1)


@pytest.mark.parametrize(
    "word", ["evidence", "hepatocellular_carcinoma_grade_3", "n02206856_bee_and_a_name_that_is_rather_long"]
)
@pytest.mark.parametrize("side", [8, 28, 64, 200])
def test_no_word_of_a_caption_is_broken(side, word, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "mirada.explain.overlay._Type.write", lambda self, draw, corner, text: drawn.append(text)
    )
    caption = f"evidence for {word} · Grad-CAM"
    with_colour_bar(
        enlarged(GREY[:1, :1].repeat(side, 0).repeat(side, 1), caption), 1.48, "logits", caption=caption
    )
    assert " ".join(drawn).endswith(caption)
    assert {text for line in drawn for text in line.split()} >= set(caption.split())


def test_a_picture_is_not_enlarged_without_end():
    """From 400 pixels on the letters grow with the width, and nothing is won."""
    assert enlarged(GREY, "x" * 5000).shape[1] <= 396 + 6


def test_without_a_caption_there_is_no_line_for_it():
    picture = np.zeros((10, 80, 3), dtype=np.uint8)
    assert len(with_colour_bar(picture, 1.0)) == 10 + len(colour_bar(1.0, width=80))


def test_a_tiny_picture_gets_white_sides():
    whole = with_colour_bar(np.zeros((28, 29, 3), dtype=np.uint8), 1.0)
    assert whole.shape[1] == 64
    assert (
        (whole[:28, 17:46] == 0).all() and (whole[:28, :17] == 255).all() and (whole[:28, 46:] == 255).all()
    )


def test_a_bar_that_is_too_narrow():
    with pytest.raises(
        InvalidArgument, match=r"`width` of a colour bar must be at least 64 pixels\. Got 63\."
    ):
        colour_bar(1.0, width=63)


def test_a_map_alone_laid_over_a_photo_is_the_overlay() -> None:
    """Read back from its PNG and composed by Pillow, over a photo that is quiet already, to a colour or two."""
    heat = np.linspace(-1.2, 1.2, 97, dtype=np.float32).reshape(1, 97)
    heat[0, 10] = np.nan
    photo = np.full((1, 97, 3), 200, np.uint8)
    expected = overlay(photo, heat, 1.0).astype(int)
    held = io.BytesIO()
    tinted(heat, 1.0).save(held, "PNG")
    alone = Image.open(held).convert("RGBA")
    quiet = Image.new("RGBA", alone.size, (176, 176, 176, 255))  # 0.88 of 200
    composed = np.asarray(Image.alpha_composite(quiet, alone).convert("RGB")).astype(int)
    assert np.abs(composed - expected).max() <= 3
    assert (composed[0, 48] == 176).all()  # where the map is 0, nothing is laid over
