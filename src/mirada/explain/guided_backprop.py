"""Guided back-propagation: saliency, with every ReLU letting back only what is above 0.

Springenberg, Dosovitskiy, Brox & Riedmiller 2014, "Striving for Simplicity: The All Convolutional Net",
arXiv:1412.6806, §3.4 and Figure 1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mirada.errors import InvalidArgument
from mirada.explain.explainable import Choose, Explainable, Found, Meaning, Method, reads_the_image
from mirada.explain.gradients import gradients
from mirada.explain.saliency import steepest

RELUS = (F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)


class _Guided(TorchFunctionMode):
    """Inside, the gradient that enters a ReLU from behind is cut off below 0; ReLUs are counted.

    ``nn.ReLU`` calls ``F.relu``, so that both forms, and those that work in place, pass here; no module is touched, and
    other threads are let alone.
    """

    relus = 0

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if function in RELUS:
            self.relus += 1
            if result.requires_grad:
                result.register_hook(lambda gradient: gradient.clamp(min=0))
        return result


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    """M(x, y) = max_c |R_c(x, y)|, R being the gradient by that rule: (N, C, H, W) → (N, H, W).

    It is no gradient of the output: a network of ReLUs is nearly run backwards, and much of what is drawn does not
    depend on the class (Adebayo et al. 2018, arXiv:1810.03292).
    """
    with _Guided() as rule:
        found = gradients(explainable, images, layer, choose)
    if not rule.relus:
        raise InvalidArgument(
            f"Guided back-propagation is a rule for ReLUs, and {type(explainable.network).__name__} has none. "
            "Use saliency."
        )
    return Found(steepest(found.gradient), found.outputs, found.classes, None)


GUIDED_BACKPROP = Method(
    key="guided_backprop",
    title="guided back-propagation",
    source="Springenberg et al. 2014, arXiv:1412.6806, §3.4",
    find=_find,
    meaning=Meaning.RELATIVE,
    signed=False,
    of_image=True,
    refusal=reads_the_image("Guided back-propagation"),
)
