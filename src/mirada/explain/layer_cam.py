"""LayerCAM: every value of a layer times its own gradient, of those that raise the output.

Jiang, Zhang, Hou, Cheng & Wei 2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
IEEE Transactions on Image Processing 30, doi:10.1109/TIP.2021.3089943, eq. 5–7.
"""

from torch import Tensor

from mirada.explain.explainable import Choose, Explainable, Found, Meaning, Method, weighs_a_layer
from mirada.explain.gradients import gradients


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    """M(x, y) = Z · Σ_n A_n(x, y) · max{0, ∂output / ∂A_n(x, y)}: (N, C, h, w) → (N, h, w), of Z = h · w places.

    These are the terms of HiResCAM whose gradient is above 0: what speaks against the output is left out, so a map
    does not add up to it. Differs from the paper: the factor Z, and no ReLU at the end.
    """
    found = gradients(explainable, images, layer, choose)
    places = found.maps.shape[2] * found.maps.shape[3]
    maps = places * (found.gradient.clamp(min=0) * found.maps).sum(dim=1)
    return Found(maps, found.outputs, found.classes, None)


LAYER_CAM = Method(
    key="layer_cam",
    title="LayerCAM",
    source="Jiang et al. 2021, doi:10.1109/TIP.2021.3089943, eq. 5–7",
    find=_find,
    meaning=Meaning.EFFECT,
    refusal=weighs_a_layer("LayerCAM"),
)
