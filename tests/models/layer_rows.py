"""What the tests of the families share: a network on the meta device, and its layers as papers list them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mirada.layers.network import Network

Row = tuple[tuple[int, ...], int, int]  # output shape, parameters, MACs


def on_meta(build: Callable[..., Network], name: str, **options: Any) -> Network:
    """The network of a builder without any memory, with 3 channels, 1000 outputs and 224 pixels unless given."""
    arguments = {"num_classes": 1000, "in_channels": 3, "image_size": (224, 224)} | options
    with torch.device("meta"):
        return build(name, **arguments)


def layer_rows(network: Network) -> list[Row]:
    """(output shape, parameters, MACs) of every convolution and linear layer, from the first to the last."""
    rows: list[Row] = []
    counter = FlopCounterMode(display=False)  # which counts a multiply-add as two
    before = 0

    def record(layer: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal before
        flops = counter.get_total_flops()
        rows.append((tuple(output.shape[1:]), parameters(layer), (flops - before) // 2))
        before = flops

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(record) for layer in layers]
    with counter:
        network.eval()(torch.empty(1, network.in_channels, *network.image_size, device="meta"))
    for hook in hooks:
        hook.remove()
    return rows


def stage_shapes(network: Network) -> list[tuple[int, ...]]:
    """(C, h, w) after the stem and after every stage."""
    maps = torch.empty(1, network.in_channels, *network.image_size, device="meta")
    shapes = []
    for name, part in network.named_children():
        if name != "head":
            maps = part(maps)
            shapes.append(tuple(maps.shape[1:]))
    return shapes


def parameters(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(p.numel() for p in module.parameters())


def drawn(module: nn.Module) -> nn.Module:
    """Brings a module of the meta device to memory, in float64, with every number drawn: He normal, vectors N(0, 1)."""
    torch.manual_seed(0)
    module = module.to_empty(device="cpu").double()
    for parameter in module.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 2
        nn.init.normal_(parameter, std=(2 / fan_in) ** 0.5)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            nn.init.normal_(layer.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return module


def trunk(network: Network) -> nn.Sequential:
    """Stem and stages, without the head."""
    return nn.Sequential(*(part for name, part in network.named_children() if name != "head"))
