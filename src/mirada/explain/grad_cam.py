"""Grad-CAM: a class map at any layer and for any head, by one gradient.

Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra 2017, "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization", arXiv:1610.02391, eq. 1–2.
"""

import torch
from torch import Tensor

from mirada.explain.explainable import Choose, Explainable, Found, Method, weighs_a_layer
from mirada.explain.gradients import gradients


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    """M(x, y) = Σ_n α_n A_n(x, y) with α_n = Σ_xy ∂output / ∂A_n(x, y), A being the maps of a layer.

    Differs from the paper: α is a sum over places where eq. 1 takes the mean, and no ReLU is applied. The
    paper's factor 1/Z drops out of its min–max display; without it the map is in the output's unit and, for a
    head of global average pooling + linear, equal to the exact class map. The positive part of the map is the
    paper's map (eq. 2), but for Z. With any other head the map need not add up to the output.
    """
    found = gradients(explainable, images, layer, choose)
    weights = found.gradient.sum(dim=(2, 3))  # (N, C)
    return Found(torch.einsum("nc,nchw->nhw", weights, found.maps), found.outputs, found.classes, None)


GRAD_CAM = Method(
    key="grad_cam",
    title="Grad-CAM",
    source="Selvaraju et al. 2017, arXiv:1610.02391, eq. 1–2",
    find=_find,
    refusal=weighs_a_layer("Grad-CAM"),
)
