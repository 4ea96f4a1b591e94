"""IDX and NPZ → Index and cache: every value as the file has it, and a sentence for every file that is damaged."""

import gzip
import io
import os
import struct
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from refusals import refusal

from mirada.data.cache import open_cache
from mirada.data.pixels import arrays
from mirada.data.pixels.arrays import (
    StoredImages,
    as_images,
    container,
    decode_image,
    digest,
    images_of,
    read_idx,
    read_image,
    read_npz,
    show_image,
)
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.sources import load_data
from mirada.errors import DataError
from mirada.events import Progress

Array = NDArray[Any]
IDX_CODES = {"|u1": 0x08, "|i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx(values: Array) -> bytes:
    """The format as its authors describe it: magic, sizes, big-endian values."""
    values = values.astype(values.dtype.newbyteorder(">"))
    head = bytes((0, 0, IDX_CODES[values.dtype.str], values.ndim)) + struct.pack(
        f">{values.ndim}I", *values.shape
    )
    return head + values.tobytes()


def pictures(*shape: int, seed: int = 0, dtype: str = "uint8") -> Array:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """MNIST's four files in small: 5 images to train on, 3 for the test."""
    for name, count in (("train", 5), ("t10k", 3)):
        images = idx(pictures(count, 4, 6, seed=count))
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        labels = idx(np.array([7, 2, 7, 10, 2], dtype="uint8")[:count])
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return tmp_path


# --- IDX ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (2, 3, 4, 3)])
@pytest.mark.parametrize("packed", [False, True])
def test_every_kind_of_idx(tmp_path: Path, dtype: str, shape: tuple[int, ...], packed: bool) -> None:
    values = np.random.default_rng(0).integers(-100, 100, shape).astype(dtype)
    file = tmp_path / "x-idx"
    file.write_bytes(gzip.compress(idx(values)) if packed else idx(values))
    read = read_idx(file)
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


def test_a_folder_of_idx(digits: Path) -> None:
    index = load_data(digits)
    assert index.classes == ("2", "7", "10")
    assert index.targets.tolist() == [1, 0, 1, 2, 0, 1, 0, 1]
    assert index.splits.tolist() == ["train"] * 5 + ["test"] * 3
    assert index.paths[4:6] == ("train-images-idx3-ubyte.gz#4", "t10k-images-idx3-ubyte.gz#0")
    np.testing.assert_array_equal(read_image(index.path(5)), pictures(3, 4, 6, seed=3)[0])
    assert index.notes[0] == "train: train-images-idx3-ubyte.gz, 5 images of 4 × 6, grey"


def test_one_file_of_idx_is_all_training(digits: Path) -> None:
    file = digits / "t10k-images-idx3-ubyte.gz"
    index = load_data(file)
    assert (index.root, index.origin, index.counts()) == (digits, file, {"train": {"2": 1, "7": 2}})
    np.testing.assert_array_equal(load_data(file, task="regression").targets[:, 0], [7, 2, 7])


def test_a_models_classes_for_idx(digits: Path) -> None:
    assert load_data(digits, classes=("10", "7", "2")).targets.tolist()[:4] == [1, 2, 1, 0]
    assert (
        refusal(digits, classes=("7", "2"))
        == 'ROOT: has the class "10", which the model does not have. Known: 2, 7.'
    )


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda data: data[:-1], "its header says (5, 4, 6), 136 bytes, and there are 135."),
        (lambda data: data + b"0", "its header says (5, 4, 6), 136 bytes, and there are 137 or more."),
        (lambda data: data[:10], "is cut off within its header."),
        (lambda data: b"\x89PNG" + data, "is no IDX file: it begins with 89 50 4e 47."),
        (lambda data: b"", "is no IDX file: it begins with ."),
        (lambda data: data[:2] + b"\x07" + data[3:], "is no IDX file: it begins with 00 00 07 03."),
    ],
)
def test_damaged_idx(digits: Path, harm: Any, message: str) -> None:
    file = digits / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(harm(idx(pictures(5, 4, 6)))))
    assert refusal(digits) == f"ROOT/train-images-idx3-ubyte.gz: {message}"


def test_damaged_gzip_and_missing_labels(digits: Path) -> None:
    file = digits / "train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "train-images-idx3-ubyte.gz: is damaged or cannot be read (" in refusal(digits)
    file.write_bytes(gzip.compress(idx(pictures(4, 4, 6))))
    assert refusal(digits) == "ROOT/train-images-idx3-ubyte.gz: has 4 images and 5 labels."
    file.write_bytes(whole)
    (digits / "train-labels-idx1-ubyte.gz").unlink()
    assert refusal(digits) == (
        "ROOT/train-images-idx3-ubyte.gz: expected a file of images with train-labels-idx1-ubyte.gz beside it, which "
        "is not there."
    )


@pytest.mark.parametrize("unpacked", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
def test_a_file_of_idx_that_is_there_packed_and_unpacked_counts_once(digits: Path, unpacked: str) -> None:
    packed = gzip.decompress((digits / "train-images-idx3-ubyte.gz").read_bytes())
    (digits / unpacked).write_bytes(packed)
    labels = gzip.decompress((digits / "train-labels-idx1-ubyte.gz").read_bytes())
    (digits / unpacked.replace("images", "labels").replace("idx3", "idx1")).write_bytes(labels)
    index = load_data(digits)
    assert len(index) == len(set(index.paths)) == 8
    assert index.paths[0] == f"{unpacked}#0"


def test_labels_may_be_packed_where_the_images_are_not(digits: Path) -> None:
    images = digits / "t10k-images-idx3-ubyte.gz"
    (digits / "t10k-images-idx3-ubyte").write_bytes(gzip.decompress(images.read_bytes()))
    images.unlink()
    assert len(load_data(digits)) == 8


def test_several_sets_of_idx_in_a_folder(digits: Path) -> None:
    for kind in ("images-idx3", "labels-idx1"):
        content = (digits / f"train-{kind}-ubyte.gz").read_bytes()
        (digits / f"emnist-letters-train-{kind}-ubyte.gz").write_bytes(content)
    assert refusal(digits) == (
        "ROOT: holds several sets of images (emnist-letters-train-images-idx3-ubyte.gz and train-images-idx3-ubyte.gz "
        "are both train), and their labels may mean different things. Give one file of images, or a folder with one "
        "set."
    )
    assert len(load_data(digits / "emnist-letters-train-images-idx3-ubyte.gz")) == 5


def test_rows_that_are_not_there(digits: Path) -> None:
    with pytest.raises(DecodeError, match=r"^t10k-images-idx3-ubyte\.gz has 3 images, numbered from 0$"):
        read_image(digits / "t10k-images-idx3-ubyte.gz#3")
    with pytest.raises(DecodeError, match=r"^cannot be read \(no such file or directory\)$"):
        read_image(digits / "gone-idx3.gz#0")


# --- NPZ ----------------------------------------------------------------------------------------------------


def npz(folder: Path, *, packed: bool = True, **parts: Array) -> Path:
    (np.savez_compressed if packed else np.savez)(folder / "set.npz", **parts)  # type: ignore[operator]
    return folder / "set.npz"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_medmnists_names(tmp_path: Path, packed: bool, shape: tuple[int, ...]) -> None:
    images = {split: pictures(n, *shape, seed=n) for split, n in (("train", 4), ("val", 2), ("test", 3))}
    labels = {split: np.arange(len(part), dtype=np.uint8)[:, None] % 2 for split, part in images.items()}
    parts = {f"{split}_images": part for split, part in images.items()}
    file = npz(
        tmp_path, packed=packed, **parts, **{f"{split}_labels": part for split, part in labels.items()}
    )
    index = load_data(file)
    assert index.counts() == {"train": {"0": 2, "1": 2}, "val": {"0": 1, "1": 1}, "test": {"0": 2, "1": 1}}
    assert index.paths[4] == "set.npz#val_images-0"
    for row in range(len(index)):
        split, number = index.splits[row], int(index.paths[row].rpartition("-")[2])
        np.testing.assert_array_equal(read_image(index.path(row)), images[split][number])
        assert index.targets[row] == labels[split][number, 0]
    assert isinstance(images_of(file, "train_images"), StoredImages) is not packed


def test_keras_names_and_numbers(tmp_path: Path) -> None:
    x, y = pictures(3, 4, 4), np.array([0.5, np.nan, 2.5])
    index = load_data(npz(tmp_path, x_train=x, y_train=y, x_test=x, y_test=y))
    assert (index.task, index.targets[:, 0].tolist()) == ("regression", [0.5, 2.5, 0.5, 2.5])
    assert index.splits.tolist() == ["train", "train", "test", "test"]
    assert [item.path for item in index.excluded] == ["set.npz#x_train-1", "set.npz#x_test-1"]
    several = load_data(npz(tmp_path, images=x, labels=np.array([[1.5, 2], [3, 4], [5, 6]])))
    assert (several.targets.shape, several.target_names) == ((3, 2), ("target 1", "target 2"))


def test_labels_that_are_words_one_hot_or_whole_floats(tmp_path: Path) -> None:
    x = pictures(3, 4, 4)
    assert load_data(npz(tmp_path, x=x, y=np.array(["b", "a", "b"]))).classes == ("a", "b")
    assert load_data(npz(tmp_path, x=x, y=np.eye(3, dtype=int)[[2, 0, 1]])).targets.tolist() == [2, 0, 1]
    index = load_data(npz(tmp_path, x=x, y=np.array([3.0, 1.0, 3.0])), task="classification")
    assert (index.classes, index.targets.tolist()) == (("1", "3"), [1, 0, 1])
    text = refusal(npz(tmp_path, x=x, y=np.ones((3, 2), dtype=int)))
    assert text.startswith("ROOT: the labels are an array of (3, 2). Expected one class")


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8", "float32", "float64"])
def test_one_hot_rows_are_classes_whatever_their_type(tmp_path: Path, dtype: str) -> None:
    x, rows = pictures(4, 4, 4), np.eye(3, dtype=dtype)[[2, 0, 1, 0]]
    index = load_data(npz(tmp_path, x=x, y=rows))
    assert (index.classes, index.targets.tolist()) == (("0", "1", "2"), [2, 0, 1, 0])
    text = refusal(npz(tmp_path, x=x, y=np.ones((4, 2), dtype=dtype)))  # several classes an image
    assert text.startswith("ROOT: the labels are an array of (4, 2). Expected one class")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zero_and_one_are_classes_as_in_a_table(tmp_path: Path, dtype: str) -> None:
    x = pictures(4, 4, 4)
    index = load_data(npz(tmp_path, x=x, y=np.array([0, 1, np.nan, 1], dtype=dtype)))
    assert (index.classes, index.targets.tolist()) == (("0", "1"), [0, 1, 1])
    assert [(item.path, item.reason) for item in index.excluded] == [
        ("set.npz#x-2", "its label is no number")
    ]
    numbers = load_data(npz(tmp_path, x=x, y=np.array([0, 1, 1, 0], dtype=dtype)), task="regression")
    assert (numbers.task, numbers.targets.ravel().tolist()) == ("regression", [0, 1, 1, 0])
    wider = load_data(npz(tmp_path, x=x, y=np.array([0, 1, 2, 1], dtype=dtype)))
    assert wider.task == "regression" and "task=classification makes classes" in wider.notes[-1]


@pytest.mark.parametrize("first", [0, 1])
def test_real_numbers_that_may_number_classes_are_refused(tmp_path: Path, first: int) -> None:
    """Both readings are as likely, and what is learnt depends on it: it is to be said."""
    x, labels = pictures(9, 4, 4), np.arange(9) % 3 + float(first)
    file = npz(tmp_path, x=x, y=labels)
    assert refusal(file) == (
        f"ROOT: the labels are the real numbers {first}, {first + 1} … {first + 2}, which may number classes. Say "
        f"task=classification if they do, task=regression if they are amounts."
    )
    names = tuple(str(first + number) for number in range(3))
    assert load_data(file, task="classification").classes == names
    assert load_data(file, classes=names).targets.tolist() == [0, 1, 2] * 3
    assert load_data(file, task="regression").targets.ravel().tolist() == labels.tolist()
    labels[0] = 0.5
    assert load_data(npz(tmp_path, x=x, y=labels)).task == "regression"


def test_words_of_bytes_are_words(tmp_path: Path) -> None:
    labels = np.array(["cat", "Käse", "cat"], dtype="U4")
    index = load_data(npz(tmp_path, x=pictures(3, 4, 4), y=np.char.encode(labels, "utf-8")))
    assert (index.classes, index.targets.tolist()) == (("Käse", "cat"), [1, 0, 1])


def test_an_array_in_two_pairs_is_refused(tmp_path: Path) -> None:
    x = pictures(3, 4, 4)
    text = refusal(npz(tmp_path, data=x, images=x, labels=np.arange(3)))
    assert text == (
        'ROOT: "labels" belongs to several pairs of images and labels (data with labels, images with labels). '
        "Keep one pair a split."
    )


@pytest.mark.parametrize(
    ("array", "dtype", "shape"),
    [
        (pictures(2, 4, 5, 1), "uint8", (2, 4, 5)),
        (pictures(2, 3, 40, 50), "uint8", (2, 40, 50, 3)),
        (pictures(2, 1, 40, 50), "uint8", (2, 40, 50)),
        (pictures(2, 4, 5, dtype="int64"), "uint8", (2, 4, 5)),
        (pictures(2, 4, 5, dtype="int32") * 200, "uint16", (2, 4, 5)),
        (pictures(2, 4, 5, dtype="float64"), "float32", (2, 4, 5)),
        (pictures(2, 4, 5) > 100, "bool", (2, 4, 5)),
    ],
)
def test_arrays_become_images(array: Array, dtype: str, shape: tuple[int, ...]) -> None:
    images = as_images(array, "x")
    assert (images.dtype, images.shape) == (dtype, shape)
    np.testing.assert_array_equal(np.sort(images, axis=None), np.sort(array, axis=None))


def test_what_is_no_array_of_images(tmp_path: Path) -> None:
    y = np.array([0, 1])
    for x, message in (
        (pictures(2, 64), "expected images, (N, H, W) or (N, H, W, 3); found an array of (2, 64)."),
        (pictures(2, 8, 8, 7), "expected images, (N, H, W) or (N, H, W, 3); found an array of (2, 8, 8, 7)."),
        (
            np.full((2, 8, 8), -1),
            "images are whole numbers from 0 to 65,535 or floats; found int64 from -1 to -1.",
        ),
    ):
        assert refusal(npz(tmp_path, x=x, y=y)) == f"ROOT x: {message}"
    assert refusal(npz(tmp_path, a=y, b=y)) == (
        "ROOT: expected arrays such as train_images and train_labels, or x and y; found a, b."
    )
    objects = np.array([None, {}], dtype=object)
    assert 'the array "y" cannot be read (Object arrays cannot be loaded' in refusal(
        npz(tmp_path, x=pictures(2, 4, 4), y=objects)
    )
    (tmp_path / "set.npz").write_bytes(b"PK nonsense")
    assert refusal(tmp_path / "set.npz") == "ROOT: is no NPZ file that can be read (File is not a zip file)."


def test_a_damaged_npz_is_said(tmp_path: Path) -> None:
    file = npz(tmp_path, x=pictures(20, 30, 30), y=np.arange(20) % 2)
    data = bytearray(file.read_bytes())
    data[2000:2100] = bytes(100)
    file.write_bytes(data)
    assert 'the array "x" cannot be read (' in refusal(file)
    with pytest.raises(DataError, match=r'has no array "z"\. It has x, y\.$'):
        read_npz(file, "z")


@pytest.mark.parametrize("name", ["x", "y"])
def test_a_stored_npz_that_was_altered_is_said(tmp_path: Path, name: str) -> None:
    arrays = {"x": pictures(20, 30, 30), "y": np.arange(20) % 2}
    file = npz(tmp_path, packed=False, **arrays)
    assert len(load_data(file)) == 20
    data, values = bytearray(file.read_bytes()), arrays[name].tobytes()
    data[data.index(values) + 9] ^= 1
    file.write_bytes(data)
    assert refusal(file) == f"ROOT: the array \"{name}\" cannot be read (Bad CRC-32 for file '{name}.npy')."


def test_messages_name_the_file_even_from_its_own_folder(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(digits)
    images, labels = Path("train-images-idx3-ubyte.gz"), Path("train-labels-idx1-ubyte.gz")
    assert refusal(labels) == (
        "ROOT: is a file of labels by its name (idx1). Give the file of their images, or the folder of both."
    )
    assert refusal(images, classes=("2", "7")) == (
        'ROOT: has the class "10", which the model does not have. Known: 2, 7.'
    )
    labels.write_bytes(gzip.compress(idx(np.zeros(5, dtype="uint8"))))
    assert refusal(images) == 'ROOT: only one class ("0"). Classification needs at least two.'
    images.write_bytes(gzip.compress(idx(pictures(1, 4, 6))))
    assert refusal(images) == "ROOT: has 1 image and 5 labels."


def test_a_stored_array_in_columns_first_order(tmp_path: Path) -> None:
    values = np.asfortranarray(pictures(3, 4, 5))
    file = npz(tmp_path, packed=False, x=values)
    np.testing.assert_array_equal(read_npz(file, "x"), values)
    with zipfile.ZipFile(file, "a") as archive:  # a header of version 3, which is not mapped
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.zeros(2, dtype=[("é", "u1")]), version=(3, 0))
        archive.writestr("named.npy", stream.getvalue())
    assert read_npz(file, "named").dtype.names == ("é",)


# --- one way to an image ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        ("a/x-idx3-ubyte.gz#12", "a/x-idx3-ubyte.gz"), ("x.npz#train_images-3", "x.npz"), ("x.npz", "x.npz"),
        ("a#1/b.png", "a#1/b.png"), ("photo#3.png", "photo#3.png"), ("scan.dcm#3", "scan.dcm"), ("a.txt#3", "a.txt#3"),
        ("x.npz#train_images", "x.npz#train_images"),
    ],
)  # fmt: skip
def test_addresses(path: str, whole: str) -> None:
    assert container(Path(path)) == Path(whole)


def test_the_digest_depends_on_values_shape_and_type() -> None:
    values = pictures(4, 6)
    kinds = [
        values,
        values.reshape(6, 4),
        values.view("int8"),
        values.T,
        values.T.copy(),
        values[:2],
        values.tobytes(),
    ]
    assert len({digest(kind) for kind in kinds}) == len(kinds) - 1  # the two transposed are the same
    assert digest(values) == digest(values.copy())


def test_an_array_is_decoded_and_shown_as_it_is() -> None:
    grey, colour = pictures(4, 6), pictures(4, 6, 3)
    as_grey = Preprocessing(mode="L", size=(4, 6), mean=(0.0,), std=(1.0,))
    np.testing.assert_array_equal(decode_image(grey, as_grey)[..., 0], grey)
    np.testing.assert_array_equal(decode_image(colour, Preprocessing(size=(4, 6))), colour)
    np.testing.assert_array_equal(np.asarray(show_image(grey)), np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(np.asarray(show_image(colour)), colour)
    assert np.asarray(show_image(grey.astype(np.uint16) * 257)).std() > 30  # windowed, not white


@pytest.mark.parametrize("kind", ["idx", "npz"])
def test_a_mapped_file_that_is_cut_or_exchanged_is_opened_anew_whatever_its_time(
    tmp_path: Path, kind: str
) -> None:
    """Reading the part that is gone would end the process by a signal."""

    def write(seed: int) -> Path:
        values = pictures(50, 32, 32, seed=seed)
        if kind == "npz":
            return npz(tmp_path, packed=False, x=values)
        (tmp_path / "t-images-idx3-ubyte").write_bytes(idx(values))
        return tmp_path / "t-images-idx3-ubyte"

    file = write(0)
    address = file.with_name(f"{file.name}#x-40" if kind == "npz" else f"{file.name}#40")
    before, times = np.array(read_image(address)), file.stat()
    write(1)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not np.array_equal(read_image(address), before)
    os.truncate(file, 20_000)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DataError):
        read_image(address)


def test_a_file_is_opened_once_by_all_threads_and_anew_when_it_has_changed(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(arrays, "read_idx", lambda file: opened.append(file) or read_idx(file))
    file = digits / "train-images-idx3-ubyte.gz"
    threads = [threading.Thread(target=images_of, args=(file,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [file]
    file.write_bytes(gzip.compress(idx(np.zeros((1, 2, 2), dtype="uint8"))))
    assert images_of(file).shape == (1, 2, 2)


def test_the_cache_of_an_array(digits: Path, tmp_path: Path) -> None:
    grey = Preprocessing(mode="L", size=(4, 6), mean=(0.0,), std=(1.0,))
    home = tmp_path / "caches"
    index = load_data(digits)
    heard: list[Progress] = []
    cache = open_cache(index, grey, directory=home, on_event=heard.append)
    assert cache.decoded == 8
    assert (heard[-1].done, heard[-1].total) == (8, 8)
    np.testing.assert_array_equal(cache.pixels[cache.rows[:5], ..., 0], pictures(5, 4, 6, seed=5))
    np.testing.assert_array_equal(cache.pixels[cache.rows[5:], ..., 0], pictures(3, 4, 6, seed=3))
    assert open_cache(index, grey, directory=home).decoded == 0
    changed = pictures(3, 4, 6, seed=3)
    changed[1] = 0
    (digits / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(changed)))
    cache = open_cache(index, grey, directory=home)
    assert cache.decoded == 1  # the other rows are known by their content
    np.testing.assert_array_equal(cache.pixels[cache.rows[5:], ..., 0], changed)


# --- real data ----------------------------------------------------------------------------------------------


def test_mnist_in_place(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "mnist"
    index = load_data(folder)
    assert {split: sum(row.values()) for split, row in index.counts().items()} == {
        "train": 60_000,
        "test": 10_000,
    }
    assert index.classes == tuple("0123456789")
    raw = {}
    for name in ("train", "t10k"):  # parsed by hand
        with gzip.open(folder / f"{name}-images-idx3-ubyte.gz") as stream:
            raw[name] = np.frombuffer(stream.read(), np.uint8)[16:].reshape(-1, 28, 28)
        with gzip.open(folder / f"{name}-labels-idx1-ubyte.gz") as stream:
            raw[f"{name} labels"] = np.frombuffer(stream.read(), np.uint8)[8:]
    np.testing.assert_array_equal(index.targets, np.concatenate([raw["train labels"], raw["t10k labels"]]))
    part = index.take([*range(300), *range(60_000, 60_300)])
    grey = Preprocessing(mode="L", size=(28, 28), mean=(0.0,), std=(1.0,))
    cache = open_cache(part, grey, directory=tmp_path)
    want = np.concatenate([raw["train"][:300], raw["t10k"][:300]])
    np.testing.assert_array_equal(cache.pixels[cache.rows, ..., 0], want)


@settings(max_examples=150)
@given(
    data=st.binary(max_size=60), magic=st.sampled_from([b"", b"\0\0\x08\x03", b"\0\0\x0d\x01", b"\x1f\x8b"])
)
def test_no_bytes_end_in_anything_but_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "fuzz-images-idx3").write_bytes(magic + data)
    (folder / "fuzz-labels-idx1").write_bytes(idx(np.zeros(2, dtype="uint8")))
    (folder / "fuzz.npz").write_bytes(magic + data)
    for name in ("fuzz-images-idx3", "fuzz.npz"):
        with pytest.raises(DataError) as caught:
            load_data(folder / name)
        assert "fuzz" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "mark"),
    [
        ([-1, 0, 1, 2], -1), ([-1.0, 0.0, 1.0], -1), ([255, 0, 1], 255), ([-1, 1, 2], -1), ([-100, 0, 1], -100),
        ([65535, *range(30)], 65535),
    ],
)  # fmt: skip
def test_a_label_beside_numbered_classes_that_stands_for_unknown(
    tmp_path: Path, labels: list[float], mark: int
) -> None:
    images = np.zeros((4 * len(labels), 2, 2), np.uint8)
    file = tmp_path / "data.npz"
    np.savez(file, x=images, y=np.array(labels * 4))
    assert f"the labels: {mark} beside" in refusal(file)
    found = load_data(file, task="classification")
    assert set(found.classes) == {str(int(label)) for label in labels}


@pytest.mark.parametrize("labels", [[-1, 1], [0, 1, 2], list(range(256)), [-1, 0], [-2, -1, 0, 1], [0, 255]])
def test_labels_of_which_none_stands_for_unknown(tmp_path: Path, labels: list[int]) -> None:
    file = tmp_path / "data.npz"
    np.savez(file, x=np.zeros((3 * len(labels), 2, 2), np.uint8), y=np.array(labels * 3))
    assert load_data(file).classes == tuple(map(str, labels))


def test_255_in_a_file_of_labels_stands_for_unknown(tmp_path: Path) -> None:
    (tmp_path / "images-idx3-ubyte").write_bytes(idx(pictures(6, 2, 2)))
    (tmp_path / "labels-idx1-ubyte").write_bytes(idx(np.array([0, 1, 2, 255, 0, 1], np.uint8)))
    assert "the labels: 255 beside 0 … 2" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("", 'its label is ""'),
        (
            "nan",
            'its label is "nan", which says nothing (task=classification keeps it)',
        ),  # NumPy's, among words
        ("<NA>", 'its label is "<NA>"'),
    ],
)
def test_a_word_that_says_nothing_is_no_class(tmp_path: Path, word: str, reason: str) -> None:
    file = tmp_path / "data.npz"
    np.savez(file, x=pictures(6, 2, 2), y=np.array(["cat", "dog", word] * 2))
    index = load_data(file)
    assert index.classes == ("cat", "dog") and len(index) == 4
    assert [item.reason for item in index.excluded] == [reason, reason]
    kept = load_data(file, task="classification").classes
    assert kept == (("cat", "dog", "nan") if word == "nan" else ("cat", "dog"))
    if word == "nan":
        assert len(load_data(file, classes=("cat", "dog", "nan"))) == 6  # a model knows it
