"""SmoothGrad: the saliency of the mean gradient at the image with noise added.

Smilkov, Thorat, Kim, Viégas & Wattenberg 2017, "SmoothGrad: removing noise by adding noise", arXiv:1706.03825, §3.
"""

import torch
from torch import Tensor

from mirada.explain.explainable import Choose, Explainable, Found, Meaning, Method, reads_the_image
from mirada.explain.gradients import gradients
from mirada.explain.saliency import steepest

SAMPLES = 50
NOISE = 0.15  # its deviation, as a share of the range of an image's values; the paper's Figure 3: 0.1 to 0.2
SEED = 0


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    """M(x, y) = max_c |mean_i ∂output / ∂image_c(x, y) at image + noise_i|: (N, C, H, W) → (N, H, W).

    All images get the same seeded noise, in proportion to their range, so that a map does not depend on the others.
    """
    outputs = explainable.answer(images)
    classes = choose(outputs)
    generator = torch.Generator().manual_seed(SEED)
    spread = NOISE * (images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(dim=(1, 2, 3), keepdim=True))
    total = torch.zeros_like(images, dtype=torch.float32)
    explainable.on_passes(0, SAMPLES)
    for number in range(1, SAMPLES + 1):
        noise = torch.randn(images.shape[1:], generator=generator).to(images)
        total += gradients(explainable, images + spread * noise, layer, lambda _: classes).gradient
        explainable.on_passes(number, SAMPLES)
    return Found(steepest(total / SAMPLES), outputs, classes, None)


SMOOTH_GRAD = Method(
    key="smooth_grad",
    title="SmoothGrad",
    source="Smilkov et al. 2017, arXiv:1706.03825, §3",
    find=_find,
    meaning=Meaning.SLOPE,
    signed=False,
    of_image=True,
    refusal=reads_the_image("SmoothGrad"),
)
