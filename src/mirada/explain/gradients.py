"""How an output changes with the maps of a layer: what the methods that use gradients begin with."""

from typing import NamedTuple

import torch
from torch import Tensor

from mirada.explain.class_maps import pick
from mirada.explain.explainable import Choose, Explainable


class Gradients(NamedTuple):
    """Maps of a layer and the gradient of the output by them, (N, C, h, w) float32; outputs (N, K), classes (N,)."""

    maps: Tensor
    gradient: Tensor
    outputs: Tensor
    classes: Tensor


def gradients(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Gradients:
    """One forward and one backward pass, from the outputs to the layer and no further.

    Args:
        explainable: The network.
        images: (N, C, H, W), normalised.
        layer: Whose maps.
        choose: Which class in each image; see ``class_maps.pick``.
    """
    maps, outputs = explainable.read(images, layer, gradient=True)
    with torch.inference_mode(mode=False), torch.enable_grad():  # whatever the caller is in
        classes = choose(outputs.detach()).clone()  # which inference mode may have made
        (gradient,) = torch.autograd.grad(pick(outputs, classes).sum(), maps)
    return Gradients(maps.detach().float(), gradient.float(), outputs.detach(), classes)
