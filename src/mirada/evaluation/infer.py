"""A network run over a batch of decoded images; validation, evaluation and prediction all come through here."""

import torch
from torch import Tensor, nn

from mirada.compute import Compute
from mirada.data.batches import normalize
from mirada.data.pixels.preprocessing import Preprocessing

AT_ONCE = 64  # images; more are slower: their activations leave the processor's cache


def infer(network: nn.Module, images: Tensor, preprocessing: Preprocessing, compute: Compute) -> Tensor:
    """Raw outputs (n, num_classes), float32 on the CPU, for decoded images (n, C, H, W).

    The network is put into eval mode for the time of the call.
    """
    training = network.training
    network.eval()
    try:
        with torch.inference_mode(), compute.autocast():
            outputs: Tensor = network(normalize(compute.put(images), preprocessing))
            return outputs.float().cpu()
    finally:
        network.train(training)
