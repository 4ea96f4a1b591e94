"""What the tests of the inception families share: a network's modules as the papers' tables list them."""

import torch
from layer_rows import Row, parameters
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mirada.layers.network import Network

__all__ = ["Row", "images", "module_rows"]


def module_rows(network: Network) -> dict[str, Row]:
    """Every child of the stem, the stages and the head that has weights, and what it puts out for one image."""
    maps = torch.empty(1, network.in_channels, *network.image_size, device="meta")
    rows: dict[str, Row] = {}
    for part_name, part in network.eval().named_children():
        if part_name == "auxiliary":
            continue
        for name, module in part.named_children():
            with FlopCounterMode(display=False) as counter:  # which counts a multiply-add as two
                maps = module(maps)
            weights = parameters(module)
            if weights:
                rows[name] = (tuple(maps.shape[1:]), weights, counter.get_total_flops() // 2)
    return rows


def images(*shape: int) -> Tensor:
    """Normal random values, in double precision, the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
