"""How many images go through a network at once, and that it changes nothing but the last bits."""

import pytest
import torch

from mirada.compute import Compute
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.evaluation.infer import AT_ONCE, images_at_once, infer
from mirada.modelfile import Architecture

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((32, 32), AT_ONCE), ((64, 64), AT_ONCE), ((112, 112), AT_ONCE), ((128, 128), 49), ((224, 224), 16),
        ((224, 448), 8), ((1000, 500), 1), ((3000, 3000), 1), ((1, 1), AT_ONCE),
    ],
)  # fmt: skip
def test_of_larger_images_fewer_are_taken(size: tuple[int, int], count: int) -> None:
    assert images_at_once(size, CPU) == count
    assert images_at_once(size, torch.device("cuda")) == AT_ONCE  # which no cache bounds


def test_an_image_has_the_same_outputs_among_many_and_among_few() -> None:
    torch.manual_seed(0)
    size = (40, 40)
    network = Architecture(model="resnet20", options={}, outputs=3, in_channels=3, image_size=size).build()
    pixels = torch.randint(0, 256, (9, 3, *size), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    plain, compute = Preprocessing(size=size, mean=(0.5,) * 3, std=(0.25,) * 3), Compute(CPU, "float32")
    whole = infer(network, pixels, plain, compute)
    parts = [infer(network, part, plain, compute) for part in pixels.split(2)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-5)
