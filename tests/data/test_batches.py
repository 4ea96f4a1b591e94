"""Batches: every image once per epoch, in an order that (seed, epoch) decides; layout and normalization."""

import hashlib
import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mirada.compute import choose
from mirada.data import batches
from mirada.data.batches import (
    batch_rows,
    channel_statistics,
    chunks,
    generator,
    normalize,
    read,
    shuffled,
    steps_per_epoch,
    to_float,
    to_pictures,
)
from mirada.data.cache import Cache, open_cache
from mirada.data.index import Index
from mirada.data.pixels.decode import decode
from mirada.data.pixels.preprocessing import Preprocessing


def cache_of(pixels: object, rows: list[int] | None = None) -> Cache:
    """A cache of these pixels (N, H, W, C), uint8 unless they are uint16; sample i is ``pixels[rows[i]]``."""
    pixels = np.asarray(pixels)
    pixels = pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint8)
    chosen = np.arange(len(pixels)) if rows is None else np.array(rows)
    index = Index(
        root=Path(),
        paths=tuple(map(str, chosen)),
        targets=np.zeros(len(chosen), dtype=np.int64),
        splits=np.full(len(chosen), "train"),
    )
    channels = pixels.shape[-1]
    preprocessing = Preprocessing(
        mode="RGB" if channels == 3 else "L",
        size=pixels.shape[1:3],
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        depth=16 if pixels.dtype == np.uint16 else 8,
    )
    return Cache(index, pixels, chosen, preprocessing, 0)


def noise(n: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 5, 7, channels), dtype=np.uint8)


# --- order --------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.integers(1, 300), st.integers(1, 70), st.integers(0, 5), st.integers(1, 5))
def test_an_epoch_shows_every_image_once_and_never_one_alone(
    n: int, size: int, seed: int, epoch: int
) -> None:
    rows = np.arange(1000, 1000 + n)
    order = shuffled(rows, seed=seed, epoch=epoch)
    steps = steps_per_epoch(n, size)
    parts = [batch_rows(order, batch_size=size, step=step) for step in range(steps)]
    assert np.concatenate(parts).tolist() == order.tolist()
    assert sorted(order) == rows.tolist()
    assert all(len(part) == size for part in parts[:-1])
    lengths = [len(part) for part in parts]
    assert min(lengths) > 1 or size == 1 or n == 1
    assert max(lengths) <= size + 1


@pytest.mark.parametrize(
    ("n", "size", "lengths"),
    [
        (10, 4, [4, 4, 2]),
        (9, 4, [4, 5]),
        (8, 4, [4, 4]),
        (5, 4, [5]),
        (1, 4, [1]),
        (3, 4, [3]),
        (3, 1, [1, 1, 1]),
        (3, 2, [3]),
    ],
)
def test_a_last_batch_of_one_joins_the_one_before(n: int, size: int, lengths: list[int]) -> None:
    steps = steps_per_epoch(n, size)
    assert [len(batch_rows(np.arange(n), batch_size=size, step=step)) for step in range(steps)] == lengths


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    rows = np.arange(50)
    torch.manual_seed(1)
    first = shuffled(rows, seed=3, epoch=2)
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, shuffled(rows, seed=3, epoch=2))
    for seed, epoch in ((3, 3), (4, 2), (2, 3)):
        assert (shuffled(rows, seed=seed, epoch=epoch) != first).any()
    np.testing.assert_array_equal(rows, np.arange(50))


def test_different_numbers_make_different_generators() -> None:
    keys = [(), (0,), (1,), (1, 2), (2, 1), (1, 2, 0), (1, 2, 0, 0), (1, 2, 0, 1), (0, 1, 2), (2**40,)]
    drawn = {tuple(generator(*key).random(3)) for key in keys}
    assert len(drawn) == len(keys)
    np.testing.assert_array_equal(generator(5, 6).random(3), generator(5, 6).random(3))


def test_in_order_is_in_order() -> None:
    parts = list(chunks(np.arange(10), 4))
    assert [part.tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(chunks(np.arange(0), 4)) == []


# --- pixels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_read_gives_the_rows_asked_for_channels_last(channels: int) -> None:
    pixels = noise(6, channels)
    cache = cache_of(pixels, rows=[5, 0, 3])
    images = read(cache, np.array([2, 0, 0]))
    assert (images.shape, images.dtype) == ((3, channels, 5, 7), torch.uint8)
    assert images.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1), pixels[[3, 5, 5]])


def test_what_is_read_from_the_map_is_a_copy(tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", noise(4))
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    cache = cache_of(noise(4))
    images = read(Cache(cache.index, mapped, cache.rows, cache.preprocessing, 0), np.array([1]))
    images.zero_()  # would fail, or be seen, in the map
    np.testing.assert_array_equal(mapped, noise(4))


def test_normalize_follows_its_formula() -> None:
    pre = Preprocessing(size=(5, 7), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    images = read(cache_of(noise(4)), np.arange(4)).float()
    kept = images.clone()
    got = normalize(images, pre)
    want = (noise(4) / 255 - np.array(pre.mean)) / np.array(pre.std)
    np.testing.assert_allclose(got.permute(0, 2, 3, 1), want, atol=1e-5)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, kept)
    assert normalize(images, pre, out=images) is images
    assert torch.equal(images, got)


def test_normalizing_in_inference_leaves_later_gradients_alone() -> None:
    pre = Preprocessing(mode="L", size=(4, 4), mean=(0.123,), std=(0.321,))  # nobody else's
    with torch.inference_mode():
        normalize(torch.rand(2, 1, 4, 4), pre)
    images = torch.rand(2, 1, 4, 4, requires_grad=True)
    normalize(images, pre).sum().backward()
    torch.testing.assert_close(images.grad, torch.full_like(images, 1 / (255 * 0.321)))


@pytest.mark.parametrize("channels", [1, 3])
def test_channel_statistics_are_numpys(channels: int) -> None:
    pixels = noise(70, channels) // np.arange(1, channels + 1, dtype=np.uint8)
    rows = np.arange(3, 69)
    mean, std = channel_statistics(cache_of(pixels), rows)
    np.testing.assert_allclose(mean, (pixels[rows] / 255).mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(std, (pixels[rows] / 255).std(axis=(0, 1, 2)), atol=1e-6)
    assert all(type(value) is float for value in (*mean, *std))


@pytest.mark.parametrize("channels", [1, 3])
def test_channel_statistics_are_exact_at_16_bits(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (70, 5, 7, channels)).astype(np.uint16)
    rows = np.arange(3, 69)
    mean, std = channel_statistics(cache_of(pixels), rows)
    np.testing.assert_allclose(mean, (pixels[rows] / 65535).mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(std, (pixels[rows] / 65535).std(axis=(0, 1, 2)), atol=1e-6)


def test_the_same_shades_have_the_same_statistics_at_both_depths() -> None:
    pixels = noise(8)
    deep = pixels.astype(np.uint16) * 257
    assert channel_statistics(cache_of(pixels), np.arange(8)) == channel_statistics(
        cache_of(deep), np.arange(8)
    )


def test_16_bits_are_read_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (6, 5, 7, 1)).astype(np.uint16)
    images = read(cache_of(pixels), np.array([2, 0]))
    assert images.dtype == torch.uint16
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1).numpy(), pixels[[2, 0]])


@pytest.mark.parametrize(("count", "used"), [(10, 10), (11, 6), (19, 10), (20, 10), (21, 7), (1000, 10)])
def test_channel_statistics_look_at_no_more_than_the_limit(
    monkeypatch: pytest.MonkeyPatch, count: int, used: int
) -> None:
    seen: list[int] = []

    def watched(rows: np.ndarray, size: int) -> object:
        seen.extend(rows.tolist())
        return chunks(rows, size)

    monkeypatch.setattr(batches, "chunks", watched)
    channel_statistics(cache_of(noise(1), rows=[0] * count), np.arange(count), limit=10)
    assert len(seen) == used
    assert len({b - a for a, b in pairwise(seen)}) == 1  # evenly spread


def test_an_image_of_one_colour_has_a_standard_deviation_to_divide_by() -> None:
    mean, std = channel_statistics(cache_of(np.full((3, 4, 4, 3), 51)), np.arange(3))
    assert (mean, std) == ((0.2, 0.2, 0.2), (0.001, 0.001, 0.001))


# --- one file, one tensor -----------------------------------------------------------------------------------


def grey_png(levels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, "PNG")
    return stream.getvalue()


def scan(kind: str) -> bytes:
    """A file of 12-bit levels, but for ``8 bits``."""
    levels = np.random.default_rng(5).integers(200, 3000, (31, 44)).astype(np.uint16)
    if kind == "DICOM":
        pytest.importorskip("pydicom", reason="DICOM needs pydicom")
        from dicom_files import dicom

        return dicom(
            levels, bits=12, photometric="MONOCHROME1", elements={"WindowCenter": 900, "WindowWidth": 1501}
        )
    return grey_png((levels >> 4).astype(np.uint8) if kind == "8 bits" else levels)


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "DICOM"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_file_gives_the_same_tensor_by_way_of_the_cache_and_without(
    tmp_path: Path, kind: str, depth: int, mode: str
) -> None:
    """Training and evaluation read the cache; prediction and explanation decode for themselves."""
    data = scan(kind)
    (tmp_path / "scan").write_bytes(data)
    channels = 3 if mode == "RGB" else 1
    pre = Preprocessing(
        mode=mode,  # type: ignore[arg-type]
        size=(24, 24),
        policy="pad",
        depth=depth,  # type: ignore[arg-type]
        clahe=2.0,
        mean=(0.4,) * channels,
        std=(0.2,) * channels,
    )
    index = Index(
        root=tmp_path, paths=("scan",), targets=np.zeros(1, dtype=np.int64), splits=np.array(["train"])
    )
    compute = choose("cpu", "float32")
    cached = read(open_cache(index, pre, directory=tmp_path / "cache"), np.array([0]))
    direct = torch.from_numpy(decode(data, pre)[None]).permute(0, 3, 1, 2)
    tensors = [normalize(to_float(compute.to_device(images)), pre) for images in (cached, direct)]
    first, second = (hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest() for tensor in tensors)
    assert first == second
    assert tensors[0].std() > 0.3  # and there is something in it


def test_sixteen_bits_are_as_bright_as_eight() -> None:
    """Every level of 16 bits, over 257; every level v of 8 is 257 · v there, to the last bit."""
    deep = torch.arange(65536, dtype=torch.int32).to(torch.uint16).reshape(1, 1, 256, 256)
    found = to_float(deep)
    assert found.dtype == torch.float32
    assert torch.equal(found.flatten(), (torch.arange(65536, dtype=torch.float64) / 257).float())
    assert torch.equal(found.flatten()[::257], torch.arange(256.0))
    assert torch.equal(to_float(torch.arange(256, dtype=torch.uint8)), torch.arange(256.0))


@pytest.mark.parametrize("depth", [8, 16])
def test_pictures_of_what_is_normalized_are_what_was_decoded(depth: int) -> None:
    pre = Preprocessing(depth=depth, mean=(0.1, 0.5, 0.9), std=(0.2, 0.3, 0.7))  # type: ignore[arg-type]
    levels = torch.arange(256).repeat(3, 1).reshape(1, 3, 16, 16)
    stored = levels.to(torch.uint8) if depth == 8 else (levels * 257).to(torch.uint16)
    found = to_pictures(normalize(to_float(stored), pre), pre)
    np.testing.assert_array_equal(found, levels.permute(0, 2, 3, 1).numpy())
