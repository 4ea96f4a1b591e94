"""What places see and what a pixel reaches: against numbers by hand, and against measured gradients."""

import pytest
import torch
from measured import Unmasked

from mirada.errors import InvalidArgument
from mirada.models import create_model
from mirada.summary.fields import MapGeometry, map_geometry


def test_lenet_by_hand() -> None:
    """Convolution 5, pooling 2, convolution 5, pooling 2: 6 pixels seen 2 apart, then 16 seen 4 apart."""
    network = create_model("lenet5")
    stem, stage = map_geometry(network, "stem"), map_geometry(network, "stage1")
    assert stem == MapGeometry((14, 14), (6, 6), (2, 2), (2.5, 2.5))
    assert stage == MapGeometry((5, 5), (16, 16), (4, 4), (7.5, 7.5))
    assert stage.seen((0, 0)) == (0, 0, 16, 16)
    assert stage.seen((1, 4)) == (4, 16, 20, 32)
    assert str(stage) == "5 × 5 places, 4 pixels apart; each sees 16 × 16 pixels"
    # Pixel 15 is the last of place 0 (0 … 15) and lies in places 1 (4 … 19), 2 (8 …) and 3 (12 …).
    assert stage.reached((15, 0)) == (range(4), range(1))
    assert stage.nearest((7, 31)) == (0, 4)
    assert map_geometry(network, "stage1.0").places == (10, 10)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lenet5", {}),
        ("lenet5", {"head": "cam", "cam_width": 4}),
        ("simplecnn", {}),
        ("resnet20", {}),
        ("vgg11", {}),
    ],
)
def test_a_pixel_reaches_the_places_that_the_gradient_finds(name: str, options: dict[str, object]) -> None:
    """The places of the last stage whose values depend on a pixel, by backward passes from each of them.

    Activations and poolings let everything through, so that no weight happens to hide a dependence.
    """
    torch.manual_seed(0)
    network = create_model(name, image_size=32, **options).double().eval()
    image = torch.rand(1, network.in_channels, 32, 32, dtype=torch.float64, requires_grad=True)
    with Unmasked():
        maps = network.features(image)
    layer = network.parts()[-2]
    geometry = map_geometry(network, layer)
    height, width = maps.shape[2:]
    assert geometry.places == (height, width)
    depends = torch.zeros(height, width, 32, 32, dtype=torch.bool)
    for row in range(height):
        for column in range(width):
            values = maps[0, :, row, column]
            weights = torch.linspace(1, 2, len(values), dtype=values.dtype)
            (gradient,) = torch.autograd.grad(values @ weights, image, retain_graph=True)
            depends[row, column] = gradient[0].ne(0).any(0)
    for pixel in [(0, 0), (0, 31), (13, 5), (16, 17), (31, 31)]:
        found = depends[:, :, pixel[0], pixel[1]].nonzero().tolist()
        rows, columns = geometry.reached(pixel)
        assert found == [[row, column] for row in rows for column in columns], pixel


def test_layers_without_places_are_refused() -> None:
    network = create_model("lenet5")
    with pytest.raises(InvalidArgument, match=r'^"head" puts out no maps of which it is known what they see'):
        map_geometry(network, "head")
    with pytest.raises(InvalidArgument, match=r'^There is no layer "stage7" whose maps are known\.$'):
        map_geometry(network, "stage7")
