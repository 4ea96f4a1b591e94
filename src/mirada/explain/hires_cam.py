"""HiResCAM: every value of a layer times its own gradient; at the image itself, gradient × input.

Draelos & Carin 2020, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks",
arXiv:2011.08891; for the image: Shrikumar, Greenside, Shcherbina & Kundaje 2016, arXiv:1605.01713.
"""

from torch import Tensor

from mirada.explain.explainable import Choose, Explainable, Found, Method
from mirada.explain.gradients import gradients


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    """M(x, y) = Z · Σ_n A_n(x, y) · ∂output / ∂A_n(x, y), Z being the number of places: (N, C, h, w) → (N, h, w).

    Differs from the paper: it is in the output's unit by the factor Z, so that a mean is compared with the output as
    for the other methods, and no ReLU is applied. Where all behind the layer is piecewise linear, as with ReLU and max
    pooling, the mean of the map is the output without what the biases add; no place is mixed with another.
    """
    found = gradients(explainable, images, layer, choose)
    places = found.maps.shape[2] * found.maps.shape[3]
    return Found(places * (found.gradient * found.maps).sum(dim=1), found.outputs, found.classes, None)


HIRES_CAM = Method(
    key="hires_cam",
    title="HiResCAM",
    source="Draelos & Carin 2020, arXiv:2011.08891",
    find=_find,
)
