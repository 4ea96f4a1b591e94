"""A network run over a batch of decoded images; validation, evaluation and prediction all come through here."""

import torch
from torch import Tensor

from mirada.compute import Compute
from mirada.data.batches import normalize, to_float
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.layers.modes import evaluating
from mirada.layers.network import Network

AT_ONCE = 64  # images, or maps, of one pass
PIXELS = 16 * 224 * 224  # of one pass on a processor, in whose cache the maps of more do not stay


def images_at_once(size: tuple[int, int], device: torch.device) -> int:
    """How many images of (height, width) pixels go through a network at once.

    ``resnet18`` takes 8.9 ms for an image of 224 × 224 pixels among 16, and 11.6 among 64; 3.0 ms for one of 128 × 128
    among 64, and 3.2 among 16 (two cores).
    """
    height, width = size
    return AT_ONCE if device.type != "cpu" else max(1, min(AT_ONCE, PIXELS // (height * width)))


def infer(
    network: Network,
    images: Tensor,
    preprocessing: Preprocessing,
    compute: Compute,
    covariates: Tensor | None = None,
    flip_average: bool = False,
) -> Tensor:
    """Raw outputs (n, num_classes), float32 on the CPU, for decoded images (n, C, H, W).

    The network is in eval mode for the time of the call; every submodule then has the mode that it had before.

    Args:
        network: On the compute's device.
        images: (n, C, H, W) as they are decoded, 8 or 16 bits.
        preprocessing: How their values are normalized.
        compute: The device and the precision.
        covariates: (n, K), scaled, for a network that reads them.
        flip_average: Whether the outputs are the mean of those for the images and for their mirror images: of logits,
            not of probabilities, so that maps which add up to them still do.

    Source:
        Jordan 2024, arXiv:2404.00498, §3.5, for the mean of the outputs. Simonyan & Zisserman 2014, arXiv:1409.1556,
        §3.2, average the probabilities.
    """
    beside = None if covariates is None else covariates.to(compute.device)

    def outputs_of(pixels: Tensor) -> Tensor:
        outputs: Tensor = network(network.laid_out(pixels, compute.dtype), beside)
        return outputs.float()

    with evaluating(network), torch.inference_mode(), compute.autocast():
        pixels = normalize(to_float(compute.to_device(images)), preprocessing)
        outputs = outputs_of(pixels)
        if flip_average:
            outputs = (outputs + outputs_of(pixels.flip(-1))) / 2
        return outputs.cpu()
