"""Grad-CAM++: Grad-CAM with the places weighed by the higher derivatives of an exponential of the output.

Chattopadhay, Sarkar, Howlader & Balasubramanian 2018, "Grad-CAM++: Generalized Gradient-based Visual Explanations for
Deep Convolutional Networks", arXiv:1710.11063, eq. 5 and 19.
"""

import torch
from torch import Tensor

from mirada.errors import InvalidArgument
from mirada.explain.explainable import Choose, Explainable, Found, Meaning, Method, weighs_a_layer
from mirada.explain.gradients import gradients


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    """M(x, y) = Σ_n w_n A_n(x, y), w_n = Σ_xy α_n(x, y) · max{0, g_n(x, y)}: (N, C, h, w) → (N, h, w).

    g_n = ∂output / ∂A_n, and α_n = g² / (2 g² + g³ Σ_xy A_n), eq. 19, which is 1 / (2 + g Σ_xy A_n) where g is not 0.
    Evidence against the output has no weight. Maps below 0 would let the denominator vanish, so they are refused.
    Differs from the paper: no ReLU at the end, which would change nothing, as no map is below 0.
    """
    found = gradients(explainable, images, layer, choose)
    if (lowest := found.maps.min().item()) < 0:
        raise InvalidArgument(
            f"Grad-CAM++ needs maps of values that are not negative, as behind a ReLU. Those of {layer} go down to "
            f"{lowest:.2g}. Use layer_cam or hires_cam, or name a layer behind a ReLU."
        )
    positive = found.gradient.clamp(min=0)
    alpha = 1 / (2 + positive * found.maps.sum(dim=(2, 3), keepdim=True))
    weights = (alpha * positive).sum(dim=(2, 3))  # (N, C)
    return Found(torch.einsum("nc,nchw->nhw", weights, found.maps), found.outputs, found.classes, None)


GRAD_CAM_PP = Method(
    key="grad_cam_pp",
    title="Grad-CAM++",
    source="Chattopadhay et al. 2018, arXiv:1710.11063, eq. 5 and 19",
    find=_find,
    meaning=Meaning.RELATIVE,
    refusal=weighs_a_layer("Grad-CAM++"),
)
