"""RISE: how much higher the output is, over random masks, where a pixel is kept.

Petsiuk, Das & Saenko 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models", arXiv:1806.07421,
eq. 4–6 and §3.2.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mirada.explain.explainable import Choose, Explainable, Found, Meaning, Method, reads_the_image
from mirada.explain.many_passes import answers_to

MASKS = 1000  # the paper's are 4,000 and 8,000
CELLS = 7  # along a side of the small masks
KEPT = 0.5  # of their cells
SEED = 0


def mask(number: int, height: int, width: int) -> Tensor:
    """One random mask, (H, W) from 0 to 1: a small one of zeros and ones, made large and shifted by part of a cell."""
    generator = torch.Generator().manual_seed(SEED + number)
    small = (torch.rand((1, 1, CELLS, CELLS), generator=generator) < KEPT).float()
    down, right = -(-height // CELLS), -(-width // CELLS)  # pixels of a cell
    large = interpolate(small, ((CELLS + 1) * down, (CELLS + 1) * right), mode="bilinear")[0, 0]
    y, x = (int(torch.randint(side, (1,), generator=generator)) for side in (down, right))
    return large[y : y + height, x : x + width]


def _find(explainable: Explainable, images: Tensor, _layer: str, choose: Choose) -> Found:
    """M(x, y) = Σ_i f_i m_i(x, y) / Σ_i m_i(x, y) − mean_i f_i, f_i = output(image · m_i): (N, C, H, W) → (N, H, W).

    Differs from the paper: the mean output is taken off, so that 0 is a pixel that makes no difference; Σ m_i stands
    for its expectation, and outputs for probabilities. All images get the same seeded masks.
    """
    outputs = explainable.answer(images)
    classes = choose(outputs)
    size = images.shape[2:]
    found = answers_to(explainable, classes, MASKS, lambda number: images * mask(number, *size).to(images))
    found = found - found.mean(dim=0)  # (V, N)
    total, kept = found.new_zeros(len(images), *size), found.new_zeros(size)
    for number, values in enumerate(found):
        each = mask(number, *size).to(found)
        total += values[:, None, None] * each
        kept += each
    return Found(total / kept, outputs, classes, None)


RISE = Method(
    key="rise",
    title="RISE",
    source="Petsiuk et al. 2018, arXiv:1806.07421, eq. 4–6",
    find=_find,
    meaning=Meaning.EFFECT,
    of_image=True,
    refusal=reads_the_image("RISE"),
)
