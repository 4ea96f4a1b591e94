"""A network run over a batch of decoded images; validation, evaluation and prediction all come through here."""

import torch
from torch import Tensor

from mirada.compute import Compute
from mirada.data.batches import normalize, to_float
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.layers.modes import evaluating
from mirada.layers.network import Network

AT_ONCE = 64  # images; more are slower: their activations leave the processor's cache


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
