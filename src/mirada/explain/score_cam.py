"""Score-CAM: the maps of a layer, weighed by what the network answers where each alone lets the image through.

Wang, Wang, Du, Yang, Zhang, Ding, Mardziel & Hu 2020, "Score-CAM: Score-Weighted Visual Explanations for Convolutional
Neural Networks", arXiv:1910.01279, eq. 5–8 and algorithm 1.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mirada.explain.explainable import Choose, Explainable, Found, Meaning, Method, weighs_a_layer
from mirada.explain.many_passes import answers_to


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    """M = Σ_n softmax_n(output(image · H_n)) A_n, H_n being A_n at the image's size: (N, C, h, w) → (N, h, w).

    H_n goes from 0 to 1, and hides the whole image where A_n is constant. The output of a blank image, which eq. 6
    subtracts, cancels in the softmax of algorithm 1. Differs from the paper: no ReLU at the end. The network runs once
    for every map.
    """
    maps, outputs = explainable.read(images, layer)
    maps, classes = maps.float(), choose(outputs)

    def seen_through(number: int) -> Tensor:
        mask = interpolate(maps[:, number : number + 1], images.shape[2:], mode="bilinear")
        lowest, highest = mask.amin(dim=(2, 3), keepdim=True), mask.amax(dim=(2, 3), keepdim=True)
        span = torch.where(highest > lowest, highest - lowest, 1)
        return images * ((mask - lowest) / span).to(images)

    weights = answers_to(explainable, classes, maps.shape[1], seen_through).softmax(dim=0)
    return Found(torch.einsum("cn,nchw->nhw", weights, maps), outputs, classes, None)


SCORE_CAM = Method(
    key="score_cam",
    title="Score-CAM",
    source="Wang et al. 2020, arXiv:1910.01279, eq. 5–8",
    find=_find,
    meaning=Meaning.RELATIVE,
    refusal=weighs_a_layer("Score-CAM"),
)
