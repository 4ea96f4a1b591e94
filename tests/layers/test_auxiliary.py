"""Auxiliary heads: they read what their stage puts out, and count in the loss only."""

import torch
from torch import nn

from mirada.layers.blocks import average_head
from mirada.layers.network import Network


def network(auxiliary: dict[str, nn.Module] | None = None) -> Network:
    torch.manual_seed(0)
    return Network(
        stem=nn.Conv2d(1, 2, 3),
        stages=[nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 3)],
        head=average_head(4, 5),
        in_channels=1,
        image_size=(12, 12),
        min_size=7,
        auxiliary=auxiliary,
        auxiliary_weight=0.3,
    )


def test_without_any_there_is_the_head_alone() -> None:
    net, images = network(), torch.randn(2, 1, 12, 12)
    (output,) = net.training_outputs(images)
    torch.testing.assert_close(output, net(images))
    assert [name for name, _ in net.named_children()] == ["stem", "stage1", "stage2", "head"]


def test_each_reads_its_stage() -> None:
    net, images = network({"stage1": average_head(3, 5)}), torch.randn(2, 1, 12, 12)
    main, extra = net.training_outputs(images)
    torch.testing.assert_close(main, net(images))
    torch.testing.assert_close(extra, net.auxiliary["stage1"](net.stage1(net.stem(images))))


def test_both_send_gradients_to_the_stage() -> None:
    net, images = network({"stage1": average_head(3, 5)}), torch.randn(2, 1, 12, 12)
    main, extra = net.training_outputs(images)
    parts = [torch.autograd.grad(y.sum(), net.stage1.weight, retain_graph=True)[0] for y in (main, extra)]
    (total,) = torch.autograd.grad(main.sum() + extra.sum(), net.stage1.weight)
    assert all(part.abs().sum() > 0 for part in parts)
    torch.testing.assert_close(total, parts[0] + parts[1])
