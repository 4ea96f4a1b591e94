"""Saliency: how steeply the output changes with each pixel.

Simonyan, Vedaldi & Zisserman 2013, "Deep Inside Convolutional Networks: Visualising Image Classification Models and
Saliency Maps", arXiv:1312.6034, §3.1.
"""

from torch import Tensor

from mirada.explain.explainable import Choose, Explainable, Found, Meaning, Method, reads_the_image
from mirada.explain.gradients import gradients


def steepest(gradient: Tensor) -> Tensor:
    """The largest of the channels' absolute gradients, (N, C, H, W) → (N, H, W)."""
    return gradient.abs().amax(dim=1)


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    """M(x, y) = max_c |∂output / ∂image_c(x, y)|: (N, C, H, W) → (N, H, W)."""
    found = gradients(explainable, images, layer, choose)
    return Found(steepest(found.gradient), found.outputs, found.classes, None)


SALIENCY = Method(
    key="saliency",
    title="saliency",
    source="Simonyan et al. 2013, arXiv:1312.6034, §3.1",
    find=_find,
    meaning=Meaning.SLOPE,
    signed=False,
    of_image=True,
    refusal=reads_the_image("Saliency"),
)
