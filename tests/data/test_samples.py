"""The sample data sets: what is in them, that the seed decides it, and that they are whole or not there."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from mirada.data.examples.digits import write_digits
from mirada.data.examples.hands import Hand, draw_hand, finger_share, write_ages
from mirada.data.examples.shapes import draw_shape, write_shapes
from mirada.data.examples.writers import SAMPLES
from mirada.data.sources import load_data
from mirada.errors import DataError, InvalidArgument
from mirada.events import Progress
from mirada.jobs.check import check

KINDS = ("circle", "square", "star", "triangle")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "digits"
    assert write_digits(folder) == 1797
    return folder


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes") / "shapes"
    assert write_shapes(folder) == 600
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def pixels(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3), or (H, W) if grey."""
    with Image.open(path) as image:
        return np.asarray(image)


def foreground(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The shape's pixels, found in the picture alone: its corner is ground, and one of the two is dark."""
    light = picture.astype(float) @ [0.2126, 0.7152, 0.0722]
    groups = light > (light.min() + light.max()) / 2
    for _ in range(10):
        groups = light > (light[groups].mean() + light[~groups].mean()) / 2
    inside: NDArray[np.bool_] = groups != groups[0, 0]
    return inside


# --- digits -------------------------------------------------------------------------------------------------


def test_every_digit_is_the_row_of_scikit_learn_that_its_name_says(digits: Path) -> None:
    truth = load_digits()
    seen = set()
    for path in digits.glob("*/*/*.png"):
        row = int(path.stem)
        assert pixels(path).shape == (8, 8)
        assert int(path.parent.name) == truth.target[row]
        assert np.abs(pixels(path) * (16 / 255) - truth.images[row]).max() < 0.04  # levels are 1 apart
        seen.add(row)
    assert seen == set(range(1797))


def test_a_fifth_of_every_digit_is_held_out(digits: Path) -> None:
    index = load_data(digits)
    counts = index.counts()
    assert index.classes == tuple("0123456789")
    assert sum(counts["test"].values()) == 360
    for name in index.classes:
        share = counts["test"][name] / (counts["train"][name] + counts["test"][name])
        assert share == pytest.approx(0.2, abs=0.006)


def test_the_digits_say_where_they_come_from(digits: Path) -> None:
    text = (digits / "README.txt").read_text(encoding="utf-8")
    for fact in ("Alpaydin", "Kaynak", "1998", "UCI", "CC BY 4.0", "scikit-learn", "1,797", "test part"):
        assert fact in text


def test_the_digits_are_the_same_every_time(digits: Path, tmp_path: Path) -> None:
    write_digits(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(digits)


# --- shapes -------------------------------------------------------------------------------------------------


def test_shapes_are_laid_out_by_split_and_class(shapes: Path) -> None:
    assert load_data(shapes).counts() == {
        "train": dict.fromkeys(KINDS, 120),
        "test": dict.fromkeys(KINDS, 30),
    }
    assert {pixels(path).shape for path in shapes.glob("*/*/*.png")} == {(64, 64, 3)}
    assert "seed 0" in (shapes / "README.txt").read_text(encoding="utf-8")


def test_the_box_table_names_every_image_and_holds_the_box_seen_in_it(shapes: Path) -> None:
    with (shapes / "boxes.csv").open(encoding="utf-8", newline="") as file:
        assert file.readline() == "filename,class,x_min,y_min,x_max,y_max\n"
        rows = list(csv.reader(file))
    assert {row[0] for row in rows} == {p.relative_to(shapes).as_posix() for p in shapes.glob("*/*/*.png")}
    off = []
    for name, kind, *box in rows:
        assert name.split("/")[1] == kind
        parts, number = ndimage.label(foreground(pixels(shapes / name)), structure=np.ones((3, 3)))
        assert number == 1, f"{name} shows one shape"
        y, x = ndimage.find_objects(parts)[0]  # half-open slices, like the table
        off.append(np.array([x.start, y.start, x.stop, y.stop]) - np.array(box, dtype=int))
    assert np.abs(off).max() <= 1  # the thin tips of a star depend on the threshold
    assert np.abs(np.mean(off, axis=0)).max() < 0.1


def test_shapes_depend_on_seed_and_number_alone(tmp_path: Path) -> None:
    write_shapes(tmp_path / "few", count=20, size=32)
    write_shapes(tmp_path / "more", count=40, size=32)
    write_shapes(tmp_path / "other", count=20, size=32, seed=1)
    few, more, other = (contents(tmp_path / name) for name in ("few", "more", "other"))
    images = {name for name in few if name.endswith(".png")}
    assert len(images) == 20
    assert all(few[name] == more[name] for name in images)
    assert not any(few[name] == other[name] for name in images)
    assert more["boxes.csv"].startswith(few["boxes.csv"])


def test_all_kinds_have_the_same_area_and_ground() -> None:
    for number in range(8):
        images = [np.asarray(draw_shape(kind, number, size=64, seed=3)[0]) for kind in KINDS]
        areas = [foreground(image).sum() for image in images]
        assert max(areas) / min(areas) < 1.08
        shapes = np.any([foreground(image) for image in images], axis=0)
        grounds = ~ndimage.binary_dilation(shapes, iterations=2)  # without half-covered edges and tips
        assert all(np.array_equal(i[grounds], images[0][grounds]) for i in images)


def test_neither_mean_colour_nor_the_middle_of_the_box_tells_the_class(shapes: Path) -> None:
    with (shapes / "boxes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    train = np.array([row["filename"].startswith("train") for row in rows])
    kinds = np.array([row["class"] for row in rows])
    colours = np.array([pixels(shapes / row["filename"]).mean(axis=(0, 1)) for row in rows])
    middles = np.array([[int(r["x_min"]) + int(r["x_max"]), int(r["y_min"]) + int(r["y_max"])] for r in rows])
    for features in (colours / 255, middles / 128):
        model = LogisticRegression().fit(features[train], kinds[train])
        assert model.score(features[~train], kinds[~train]) < 0.40  # chance is 0.25; n = 120, so ± 0.08


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"count": 19}, "`count` of write_shapes must be an integer ≥ 20. Got 19."),
        ({"size": 31}, "`size` of write_shapes must be an integer ≥ 32. Got 31."),
        ({"seed": -1}, "`seed` of write_shapes must be an integer ≥ 0. Got -1."),
    ],
)
def test_shapes_refuse_what_cannot_be_drawn(tmp_path: Path, arguments: dict[str, int], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        write_shapes(tmp_path / "shapes", **arguments)
    assert str(caught.value) == text
    assert list(tmp_path.iterdir()) == []


# --- ages ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ages") / "ages"
    assert write_ages(folder, count=160, size=64) == 160
    return folder


def test_the_table_of_ages_is_understood_without_a_word(ages: Path) -> None:
    index = load_data(ages)
    assert (len(index), index.task, index.unit, index.excluded) == (160, "regression", "months", ())
    assert index.targets.min() >= 12 and index.targets.max() <= 216
    assert np.ptp(index.targets) > 180
    assert {pixels(index.path(row)).shape for row in range(len(index))} == {(64, 64)}
    assert "seed 0" in (ages / "README.txt").read_text(encoding="utf-8")


def test_every_third_patient_has_two_images_of_one_age_and_sex(ages: Path) -> None:
    index = load_data(ages, target="age", group="patient", covariates="male")
    both = [
        rows for name in set(index.groups) if len(rows := np.flatnonzero(np.array(index.groups) == name)) == 2
    ]
    assert len(set(index.groups)) == 120
    assert len(both) == 40
    assert all(np.ptp(index.targets[rows]) == 0 == np.ptp(index.covariates[rows]) for rows in both)
    assert 0.35 < index.covariates.mean() < 0.65


def shape_of(picture: NDArray[np.uint8]) -> list[float]:
    """The hand's outline in numbers that neither its place, rotation, size nor brightness change much."""
    inside = ndimage.gaussian_filter(picture.astype(float), 0.7) > 0.33 * np.percentile(picture, 97)
    y, x = np.nonzero(inside)
    edge = (inside & ~ndimage.binary_erosion(inside)).sum()
    hull = inside & (ndimage.uniform_filter(inside.astype(float), 5) < 0.7)
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(x, y)))
    return [spread[1] / spread[0], spread[1] / len(x) ** 0.5, edge / len(x) ** 0.5, hull.sum() / len(x)]


def test_the_picture_tells_the_age(ages: Path) -> None:
    index = load_data(ages)
    shapes = np.array([shape_of(pixels(index.path(row))) for row in range(len(index))])
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge(1.0))
    guesses = cross_val_predict(model, shapes, index.targets[:, 0], cv=KFold(8, shuffle=True, random_state=0))
    mean_error = np.abs(index.targets - index.targets.mean()).mean()
    assert np.abs(guesses - index.targets[:, 0]).mean() < 0.75 * mean_error


def test_only_the_sex_tells_a_girl_from_a_boy_two_years_older() -> None:
    girl, boy = Hand(100, male=False, left=False, lead=3.0), Hand(124, male=True, left=False, lead=3.0)
    drawn = [np.asarray(draw_hand(hand, np.random.default_rng(5), size=64)) for hand in (girl, boy)]
    np.testing.assert_array_equal(*drawn)
    older = np.asarray(draw_hand(girl._replace(age=160), np.random.default_rng(5), size=64))
    assert older.mean() > drawn[0].mean() + 1


def test_fingers_grow_with_age_and_later_in_boys() -> None:
    girl, boy = Hand(100, male=False, left=False, lead=0.0), Hand(100, male=True, left=False, lead=0.0)
    assert finger_share(girl) == pytest.approx(finger_share(boy._replace(age=124)))
    assert finger_share(girl._replace(age=101)) - finger_share(girl) == pytest.approx(0.55 / 204)
    assert finger_share(girl._replace(lead=5.0)) == pytest.approx(finger_share(girl._replace(age=105)))


def test_a_hand_depends_on_seed_and_number_alone_and_fits_the_picture(ages: Path, tmp_path: Path) -> None:
    write_ages(tmp_path / "few", count=20, size=64)
    few, many = contents(tmp_path / "few"), contents(ages)
    assert all(few[name] == many[name] for name in few if name.endswith(".png"))
    assert many["ages.csv"].startswith(few["ages.csv"])
    write_ages(tmp_path / "other", count=20, size=64, seed=1)
    assert contents(tmp_path / "other")["ages.csv"] != few["ages.csv"]
    for seed in range(30):  # the oldest girls have the longest fingers
        hand = Hand(216, male=False, left=bool(seed % 2), lead=10.0)
        picture = np.asarray(draw_hand(hand, np.random.default_rng(seed), size=96)).astype(float)
        flesh = ndimage.gaussian_filter(picture, 1) > 0.33 * np.percentile(picture, 97)
        assert not flesh[0].any() and not flesh[:70, [0, -1]].any()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"count": 19}, "`count` of write_ages must be an integer ≥ 20. Got 19."),
        ({"size": 47}, "`size` of write_ages must be an integer ≥ 48. Got 47."),
        ({"seed": -1}, "`seed` of write_ages must be an integer ≥ 0. Got -1."),
    ],
)
def test_ages_refuse_what_cannot_be_drawn(tmp_path: Path, arguments: dict[str, int], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        write_ages(tmp_path / "ages", **arguments)
    assert str(caught.value) == text
    assert list(tmp_path.iterdir()) == []


# --- all ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_folder_with_something_in_it_is_refused_and_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(DataError) as caught:
            SAMPLES[name](folder)
        assert str(caught.value) == f"{folder} exists and is not an empty folder. Choose another folder."
    assert contents(tmp_path) == {"mine.txt": b"mine"}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_an_interrupted_run_leaves_nothing(name: str, tmp_path: Path) -> None:
    def interrupt(event: dict[str, object]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SAMPLES[name](tmp_path / "sample", on_event=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"deep cannot be written \(.+\)\. Choose another folder\.$"):
        write_shapes(tmp_path / "file" / "deep", count=20, size=32)


def test_an_empty_folder_is_filled_and_stays_the_same_folder(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    before = folder.stat().st_ino
    write_shapes(folder, count=20, size=32)
    assert folder.stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert sorted(path.name for path in folder.iterdir()) == ["README.txt", "boxes.csv", "test", "train"]


def test_a_new_folder_may_lie_deep_and_has_the_usual_access_rights(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    write_shapes(str(tmp_path / "a" / "b"), count=20, size=32)
    assert (tmp_path / "a" / "b").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    events: list[Progress] = []
    write_shapes(tmp_path / "shapes", count=220, size=32, on_event=events.append)
    assert [event.done for event in events] == [100, 200, 220]
    assert events[-1] == Progress("writing", 220, 220)


@pytest.mark.slow
def test_the_samples_pass_the_check(digits: Path, shapes: Path, tmp_path: Path) -> None:
    assert check(load_data(digits)).findings == ()
    assert check(load_data(shapes)).findings == ()
    write_ages(tmp_path / "ages", count=120)
    assert check(load_data(tmp_path / "ages")).findings == ()
