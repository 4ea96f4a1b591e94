"""Recipro-CAM: what the network answers where only one place of a layer, and a little around it, is kept.

Byun & Lee 2022, "Recipro-CAM: Fast gradient-free visual explanations for convolutional neural networks",
arXiv:2209.14074, eq. 3–6 and its Gaussian mask.
"""

import torch
from torch import Tensor

from mirada.explain.explainable import Choose, Explainable, Found, Meaning, Method, weighs_a_layer
from mirada.explain.many_passes import answers_to

MASK = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    """M(x, y) = Z · (output(A · m_xy) − output(0)), m_xy being 3 × 3 around (x, y): (N, C, h, w) → (N, h, w).

    For a head of global average pooling + linear it is the exact map, smoothed by m. Differs from the paper: its
    min–max scaling is left out, and with the output of maps of zeros and the number of places Z the map is in the
    unit of the output. What comes after the layer runs once for every place.
    """
    maps, outputs = explainable.read(images, layer)
    classes, (height, width) = choose(outputs), maps.shape[2:]

    def alone(number: int) -> Tensor:
        mask = maps.new_zeros(height + 2, width + 2)
        if number < height * width:  # behind those of all places: no place at all
            y, x = divmod(number, width)
            mask[y : y + 3, x : x + 3] = MASK.to(maps)
        return maps * mask[1:-1, 1:-1]

    found = answers_to(
        explainable, classes, height * width + 1, alone,
        lambda versions: explainable.answer_from(layer, versions, images),
    )  # fmt: skip
    effects = height * width * (found[:-1] - found[-1])
    return Found(effects.T.reshape(-1, height, width), outputs, classes, None)


RECIPRO_CAM = Method(
    key="recipro_cam",
    title="Recipro-CAM",
    source="Byun & Lee 2022, arXiv:2209.14074, eq. 3–6",
    find=_find,
    meaning=Meaning.EFFECT,
    refusal=weighs_a_layer("Recipro-CAM"),
)
