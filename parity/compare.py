"""Random weights for a network of theirs, and the comparison of it with ours."""

import torch
from torch import Tensor, nn

DROPOUT = ("p", "drop_rate")  # how nn.Dropout calls its probability, and how timm and torchvision do


def randomize(module: nn.Module, seed: int) -> nn.Module:
    """Draws every weight anew, and batch norm's statistics, scale and shift; returns the module.

    Values are float32 numbers whatever the module's type, so that copies in float32 and float64 are equal.
    """
    draws = torch.Generator().manual_seed(seed)

    def normal(into: Tensor, deviation: float) -> None:
        into.copy_(torch.randn(into.shape, generator=draws) * deviation)

    def near_one(into: Tensor) -> None:
        into.copy_(torch.rand(into.shape, generator=draws) + 0.5)

    with torch.no_grad():
        for layer in module.modules():
            own = dict(layer.named_parameters(recurse=False))
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                normal(layer.running_mean, 0.1)
                near_one(layer.running_var)
                layer.num_batches_tracked.zero_()
                if layer.affine:
                    near_one(own.pop("weight"))
            for values in own.values():
                fan_in = values[0].numel() if values.dim() > 1 else 200
                normal(values, (2 / fan_in) ** 0.5)  # vectors, which are biases and shifts: 0.1
    return module


def compare(theirs: nn.Module, ours: nn.Module, shape: tuple[int, ...], *, train: bool = False) -> float:
    """The largest relative error of logits and input gradient, in float64, on images (N, C, H, W) of a shape.

    In train mode dropout never drops, and batch norm uses the batch's statistics; auxiliary outputs are compared too,
    and the running statistics that the batch leaves behind. Both networks stay in float64 and in the mode asked for.
    """
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = _results(theirs, images, train=train)
    found = _results(ours, images, train=train)
    errors = [_relative_error(one, other) for one, other in zip(found, expected, strict=True)]
    return float(torch.tensor(errors).max())  # nan if any is, unlike Python's max


def outputs(network: nn.Module, images: Tensor) -> list[Tensor]:
    """The main output, then the auxiliary ones from the first to the last of the network."""
    if network.training and hasattr(network, "training_outputs"):
        return list(network.training_outputs(images))
    found = network(images)
    if isinstance(found, Tensor):
        return [found]
    named: dict[str, Tensor | None] = found._asdict()  # torchvision's named tuples
    main = named.pop("logits")
    return [each for each in (main, *(named[name] for name in sorted(named))) if each is not None]


def _results(network: nn.Module, images: Tensor, *, train: bool) -> list[Tensor]:
    """Every output of the network, the images' gradient of a random mixture of all outputs, running statistics."""
    network.double().train(train)
    for layer in network.modules():
        for name in DROPOUT:
            if isinstance(getattr(layer, name, None), float):
                setattr(layer, name, 0.0)
    images = images.clone().requires_grad_()
    logits = outputs(network, images)
    draws = torch.Generator().manual_seed(1)
    arriving = [torch.randn(each.shape, generator=draws, dtype=torch.float64) for each in logits]
    (gradient,) = torch.autograd.grad(logits, images, arriving)
    return [*(each.detach() for each in logits), gradient, *(_statistics(network) if train else ())]


def _statistics(network: nn.Module) -> list[Tensor]:
    """All running means, and all variances; sorted, since their networks go by other names in another order."""
    found = []
    for kind in ("running_mean", "running_var"):
        values = [each.flatten() for name, each in network.named_buffers() if name.endswith(kind)]
        found += [torch.cat(values).sort().values] if values else []
    return found


def _relative_error(found: Tensor, expected: Tensor) -> float:
    """max |found − expected| / max |expected|; infinite where shapes differ, nan where a value is."""
    if found.shape != expected.shape:
        return float("inf")
    return float((found - expected).abs().max() / expected.abs().max())
