"""LeNet-5, the common modern form.  LeCun, Bottou, Bengio & Haffner 1998, Proc. IEEE 86(11):2278–2324, Fig. 2.

Differs from the paper: C3 sees all six maps of S2 (2,416 weights instead of 1,516), ReLU instead of
1.7159·tanh(2a/3), max pooling instead of trainable sub-sampling, ten linear units instead of the RBF output.
ReLU follows the max pooling, with which it commutes, and so has a quarter of the values to rectify.
Shapes: images (N, 1, 32, 32) → outputs (N, 10).
"""

from torch import nn

from mirada.layers.blocks import dense_head
from mirada.layers.network import Network, Size, output_shape, require_size

#          maps  kernel    size at 32 × 32
C1_S2 = (6, 5)  # 28 → 14
C3_S4 = (16, 5)  # 10 → 5
C5_F6 =  ( 120, 84)  # C5's kernel covers S4, so it is a dense layer  # fmt: skip
MIN_SIZE = 16


def lenet(name: str, *, num_classes: int, in_channels: int, image_size: Size) -> Network:
    """Builds ``lenet5``: 156 + 2,416 + 48,120 + 10,164 + 850 = 61,706 parameters."""
    require_size(image_size, MIN_SIZE)
    stem = _conv_pool(in_channels, *C1_S2)
    stage = _conv_pool(C1_S2[0], *C3_S4)
    channels, height, width = output_shape((stem, stage), in_channels, image_size)
    return Network(
        stem=stem,
        stages=[stage],
        head=dense_head(channels * height * width, C5_F6, num_classes),
        in_channels=in_channels,
        image_size=image_size,
        min_size=MIN_SIZE,
    )


def _conv_pool(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel), nn.MaxPool2d(2), nn.ReLU(inplace=True))
