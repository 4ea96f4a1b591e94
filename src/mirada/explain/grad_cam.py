"""Grad-CAM: a class map for any head, by one gradient through the head.

Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra 2017, "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization", arXiv:1610.02391, eq. 1–2.
"""

import torch
from torch import Tensor, nn

from mirada.explain.capture import evaluating, features_and_outputs
from mirada.explain.class_maps import Classes, pick


def grad_cam(network: nn.Module, images: Tensor, classes: Classes) -> Tensor:
    """The signed Grad-CAM map of one class per image, (N, h, w) float32, in the output's unit.

    M(x, y) = Σ_n α_n A_n(x, y) with α_n = Σ_xy ∂output / ∂A_n(x, y); A are the maps that enter the head.
    ``images`` is (N, C, H, W), normalised; ``classes`` follows the rule of ``class_maps.pick``.

    Differs from the paper: α is a sum over places where eq. 1 takes the mean, and no ReLU is applied. The
    paper's factor 1/Z drops out of its min–max display; without it the map is in the output's unit and, for a
    head of global average pooling + linear, equal to the exact class map. The positive part of the map is the
    paper's map (eq. 2), but for Z. With any other head the map need not add up to the output.

    Only the gradient with respect to the features is computed: parameters may be frozen, ``.grad`` stays as
    it is, and the caller may be inside ``torch.no_grad`` or ``torch.inference_mode``.

    Raises ``InvalidArgument`` if the network or the images cannot be explained or a class number is wrong.
    """
    features, _ = features_and_outputs(network, images)
    return weigh_by_gradient(network, features, classes)


def weigh_by_gradient(network: nn.Module, features: Tensor, classes: Classes) -> Tensor:
    """The map of ``grad_cam`` from features, (N, C, h, w), that are known already → (N, h, w)."""
    with evaluating(network), torch.inference_mode(mode=False), torch.enable_grad():
        leaf = features.detach().clone().requires_grad_()
        maps = leaf.clone()  # a head may work in place, which a leaf does not allow
        outputs = network.get_submodule("head")(maps)
        (gradient,) = torch.autograd.grad(pick(outputs, classes).sum(), leaf)
    weights = gradient.float().sum(dim=(2, 3))  # (N, C)
    return torch.einsum("nc,nchw->nhw", weights, features.float())
