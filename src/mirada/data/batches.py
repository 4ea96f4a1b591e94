"""Batches straight from the memory map, as pure functions of (seed, epoch, step): no state, no worker processes."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mirada.data.cache import Cache
from mirada.data.pixels.preprocessing import Preprocessing

Rows = NDArray[np.int64]

WHITE = 255  # what white is on the way to the network, at any depth
DEEP_WHITE = 65_535  # and as it is stored with 16 bits: 257 times as much


def generator(*numbers: int) -> np.random.Generator:
    """A random generator that depends on these numbers alone, e.g. (seed, epoch, step)."""
    entropy = (len(numbers), *numbers)  # SeedSequence takes (1, 2) and (1, 2, 0) for the same
    return np.random.default_rng(np.random.SeedSequence(entropy))


def shuffled(rows: Rows, *, seed: int, epoch: int) -> Rows:
    """The rows in the order in which this epoch visits them."""
    return generator(seed, epoch).permutation(rows)


def steps_per_epoch(n: int, batch_size: int) -> int:
    """How many batches ``n`` samples make; a last batch of one joins the batch before it.

    Batch normalisation cannot train on one sample, and dropping it would lose an image.
    """
    whole, rest = divmod(n, batch_size)
    return max(1, whole + (rest > 1 or (rest == 1 and batch_size == 1)))


def batch_rows(rows: Rows, *, batch_size: int, step: int) -> Rows:
    """The rows of one step of an epoch; ``step`` counts from 0 within the epoch."""
    last = step == steps_per_epoch(len(rows), batch_size) - 1
    return rows[step * batch_size : None if last else (step + 1) * batch_size]


def read(cache: Cache, rows: Rows) -> Tensor:
    """Images of the cache as (N, C, H, W), uint8 or uint16, in channels-last memory order, as they lie on disk.

    ``to_float`` makes both real numbers from 0 to ``WHITE``.
    """
    return torch.from_numpy(cache.read(rows)).permute(0, 3, 1, 2)


def to_float(images: Tensor, order: torch.memory_format = torch.contiguous_format) -> Tensor:
    """Images of 8 or 16 bits as float32 from 0 to ``WHITE``; at 16 bits the values lie between those of 8.

    Channel by channel in memory, where factors and offsets of whole channels are vectorized; or in another ``order``.
    """
    floats = images.to(torch.float32, memory_format=order)
    return floats.div_(DEEP_WHITE // WHITE) if images.dtype == torch.uint16 else floats


def normalize(images: Tensor, preprocessing: Preprocessing, *, out: Tensor | None = None) -> Tensor:
    """(value / 255 − mean) / std per channel.

    Args:
        images: (n, C, H, W), as ``to_float`` makes them.
        preprocessing: It holds mean and std, for values from 0 to 1.
        out: Where to put the result, which may be the images themselves; None for a new array.
    """
    scale, offset = _to_normal(preprocessing.mean, preprocessing.std, images.device)
    # Not addcmul, which is never vectorized where factors are spread over the pixels.
    return torch.mul(images, scale, out=out).add_(offset)


@lru_cache(maxsize=8)  # those of a few models; the same for every batch
def _to_normal(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """What values from 0 to ``WHITE`` are multiplied by, and what is then added: both (C, 1, 1)."""
    with torch.inference_mode(False):  # made in inference, they would serve no gradient later
        scale = torch.tensor([1 / (WHITE * each) for each in std], device=device)
        offset = torch.tensor([-centre / each for centre, each in zip(mean, std, strict=True)], device=device)
        return scale[:, None, None], offset[:, None, None]


def to_pictures(normalized: Tensor, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """What ``normalize`` made, as pictures of 8 bits: (n, H, W, C). Values beyond black and white are cut off."""
    values = normalized.float().cpu().permute(0, 2, 3, 1).numpy()
    unit = values * np.array(preprocessing.std) + np.array(preprocessing.mean)
    pictures: NDArray[np.uint8] = (unit * WHITE).round().clip(0, WHITE).astype(np.uint8)
    return pictures


def chunks(rows: Rows, batch_size: int) -> Iterator[Rows]:
    """The rows cut into batches, in order, for evaluation."""
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]


def channel_statistics(
    cache: Cache, rows: Rows, *, limit: int = 5000
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel over (at most ``limit``, evenly spread) images, for values 0 … 1.

    From a histogram of the levels, 256 or 65,536: exact, and small in memory. A standard deviation is at least 0.001.
    """
    channels = cache.pixels.shape[-1]
    levels = np.iinfo(cache.pixels.dtype).max + 1
    values = np.arange(levels) / (levels - 1)
    histogram = np.zeros((channels, levels), dtype=np.int64)
    for part in chunks(rows[:: max(1, -(-len(rows) // limit))], 32):
        pixels = cache.read(part).reshape(-1, channels)
        histogram += np.stack([np.bincount(pixels[:, c], minlength=levels) for c in range(channels)])
    share = histogram / histogram.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt(np.maximum((share * (values - mean[:, None]) ** 2).sum(axis=1), 1e-6))
    return tuple(round(float(m), 6) for m in mean), tuple(round(float(s), 6) for s in std)
