"""Top-model surgery: any network cut behind a stage, with a head of which class activation maps are exact.

Zhou, Khosla, Lapedriza, Oliva & Torralba 2016, arXiv:1512.04150, §3: what follows the chosen stage is taken away, and
so is the pooling that ends it; then come a 3 × 3 convolution, the average of each map and one linear layer.

Differs from the paper: the activation behind the convolution (ReLU unless told otherwise) and the dropout before the
linear layer are the network's own; the new layers start as He normal with fan-out (the convolution) and Glorot uniform
(the linear layer), zero bias.
Shapes: images (N, C, H, W) → outputs (N, num_classes).
"""

from collections import OrderedDict
from functools import partial

from torch import nn

from mirada.errors import InvalidArgument, nearest
from mirada.layers.activation import ACTIVATIONS, make_activation
from mirada.layers.blocks import average_head
from mirada.layers.initialization import initialize
from mirada.layers.network import Network

KERNEL = 3
WIDEST, TIMES = 1024, 4  # of the rule of ``usual_width``
DRAW_CONVOLUTION = partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu")
DRAW_LINEAR = nn.init.xavier_uniform_
POOLING = (nn.MaxPool2d, nn.AvgPool2d)


def with_cam_head(
    network: Network,
    num_classes: int,
    *,
    after: str = "",
    width: int = WIDEST,
    groups: int = 1,
    activation: str = "relu",
    dropout: float = 0.0,
) -> Network:
    """A network of the same first parts, which it shares, with a new last stage and a new head.

    Args:
        network: Any of the catalogue with the head ``average``; its image size and its smallest size stay.
        num_classes: Outputs.
        after: The stage behind which it is cut; by default the last one.
        width: Maps that the new convolution puts out.
        groups: Of this convolution.
        activation: Behind it.
        dropout: Share of its averages that training leaves out.

    Returns:
        The network; ``drawn`` names its new stage.

    Raises:
        InvalidArgument: There is no such stage, or the groups do not divide its maps.

    Source: Zhou et al. 2016, arXiv:1512.04150, §3.
    """
    names = network.parts()[1:-1]
    if not names:
        raise InvalidArgument(f"{network.name} has no stage behind its stem, so there is nothing to cut.")
    after = after or names[-1]
    if after not in names:
        raise InvalidArgument(f'`cam_after`: {network.name} has no stage "{after}". {nearest(after, names)}')
    kept = names[: names.index(after) + 1]
    stages = [network.get_submodule(name) for name in kept]
    channels = channels_behind(network, after)
    if channels % groups or width % groups:
        raise InvalidArgument(
            f"`cam_groups` must divide the {channels} maps of {after} and `cam_width`. Got {groups} and {width}."
        )
    conv = nn.Conv2d(channels, width, KERNEL, padding=KERNEL // 2, groups=groups)
    new = nn.Sequential(OrderedDict(cam=conv, act=make_activation(activation, width)))
    head = average_head(width, num_classes, dropout=dropout)
    for part in (new, head):
        initialize(part, conv=DRAW_CONVOLUTION, linear=DRAW_LINEAR)
    cut = Network(
        stem=network.stem,
        stages=[*stages[:-1], without_final_pooling(stages[-1]), new],
        head=head,
        auxiliary={name: each for name, each in network.auxiliary_heads().items() if name in kept},
        auxiliary_weight=network.auxiliary_weight,
        in_channels=network.in_channels,
        image_size=network.image_size,
        min_size=network.min_size,
    )
    cut.drawn = f"stage{len(stages) + 1}"
    return cut


def usual_width(channels: int) -> int:
    """Maps for the new convolution behind a stage of so many: four times as many, and at most the paper's 1024.

    That is the paper's 1024 behind the last stages of AlexNet (256 maps), VGG16 (512) and GoogLeNet (832), and less
    where a small network would otherwise have most of its weights in its new layers.

    >>> usual_width(16), usual_width(256), usual_width(832)
    (64, 1024, 1024)
    """
    return min(WIDEST, TIMES * channels)


def without_final_pooling(stage: nn.Module) -> nn.Module:
    """A stage without the pooling that ends it, if one does; what follows it without weights, such as ReLU, stays.

    The layers keep their names.
    """
    children = list(stage.named_children()) if isinstance(stage, nn.Sequential) else []
    for place in reversed(range(len(children))):
        _, layer = children[place]
        if isinstance(layer, POOLING):
            return nn.Sequential(OrderedDict(children[:place] + children[place + 1 :]))
        if not _is_activation(layer):
            break
    return stage


def _is_activation(layer: nn.Module) -> bool:
    """Whether a layer works on each value alone, so that it does the same before a pooling as behind it."""
    kinds = {type(make(1)) for make in ACTIVATIONS.values()}
    return type(layer) in kinds


def channels_behind(network: Network, stage: str) -> int:
    """Maps that a stage puts out: those that the next part's first convolution reads, or the head's linear layer.

    Read off the layers, not tried out: a convolution on the meta device, where networks are built whose weights are
    still to be read, makes PyTorch import its compiler.

    Args:
        network: With the head ``average``.
        stage: One of its stages.
    """
    parts = network.parts()
    behind = network.get_submodule(parts[parts.index(stage) + 1])
    reading = next(layer for layer in behind.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
    return reading.in_channels if isinstance(reading, nn.Conv2d) else reading.in_features
