"""Integrated gradients: the change of the output from a blank image to the image, split over the pixels.

Sundararajan, Taly & Yan 2017, "Axiomatic Attribution for Deep Networks", arXiv:1703.01365, eq. 1 and proposition 1.
"""

import numpy as np
import torch
from torch import Tensor

from mirada.explain.class_maps import pick
from mirada.explain.explainable import Choose, Explainable, Found, Method, reads_the_image
from mirada.explain.gradients import gradients

STEPS = 50  # the paper's 20 to 300


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    """M(x, y) = Z · Σ_c image_c(x, y) · ∫₀¹ ∂output / ∂image_c(x, y) at t · image dt: (N, C, H, W) → (N, H, W).

    The blank image is zeros, behind normalisation: the mean colour, where that subtracts it. The integral is Gauss and
    Legendre's with 50 points. The mean of the map, Z being the number of pixels, is output(image) − output(blank), as
    far as 50 points tell: ``completeness_error`` says how far.
    """
    outputs = explainable.answer(images)
    classes = choose(outputs)
    total = torch.zeros_like(images, dtype=torch.float32)
    nodes, weights = (values.tolist() for values in np.polynomial.legendre.leggauss(STEPS))  # on −1 … 1
    explainable.on_passes(0, STEPS)
    for number, (node, weight) in enumerate(zip(nodes, weights, strict=True), start=1):
        total += (
            weight / 2 * gradients(explainable, (node + 1) / 2 * images, layer, lambda _: classes).gradient
        )
        explainable.on_passes(number, STEPS)
    maps = images.shape[2] * images.shape[3] * (total * images).sum(dim=1)
    gained = pick((outputs - explainable.answer(torch.zeros_like(images))).float(), classes)
    error = (maps.mean(dim=(1, 2)) - gained).abs().max().item()
    return Found(maps, outputs, classes, error)


INTEGRATED_GRADIENTS = Method(
    key="integrated_gradients",
    title="integrated gradients",
    source="Sundararajan et al. 2017, arXiv:1703.01365, eq. 1",
    find=_find,
    adds_up_to="the output less that for a blank image",
    of_image=True,
    refusal=reads_the_image("Integrated gradients"),
)
