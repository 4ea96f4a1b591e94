"""A network run over batches of decoded images; validation, evaluation and prediction all come through here."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mirada.compute import Compute
from mirada.data.batches import normalize
from mirada.data.decoding.preprocessing import Preprocessing


def infer(
    network: nn.Module, batches: Iterable[Tensor], preprocessing: Preprocessing, compute: Compute
) -> Tensor:
    """Raw outputs (N, num_classes), float32 on the CPU, for batches of uint8 images (n, C, H, W); (0,) for none.

    The network is put into eval mode for the time of the call.
    """
    training = network.training
    network.eval()
    outputs = []
    try:
        with torch.inference_mode(), compute.autocast():
            for batch in batches:
                images = normalize(compute.put(batch), preprocessing)
                outputs.append(network(images).float().cpu())
    finally:
        network.train(training)
    return torch.cat(outputs) if outputs else torch.empty(0)
