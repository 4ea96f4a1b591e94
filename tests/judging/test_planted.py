"""A network that is known to read one quadrant: its maps pass, maps of chance and of another place fail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mirada.data.pixels.preprocessing import Policy
from mirada.data.sources import load_data
from mirada.inference.explained import Explained, Seen
from mirada.inference.model import load_model
from mirada.jobs.explanations import Judging, judge_explanations, set_aside
from mirada.judging.asking import Asking
from mirada.judging.faithfulness import faithfulness, road
from mirada.judging.localisation import Located, localisation
from mirada.judging.stability import jpeg
from mirada.judging.subject import Subject
from mirada.layers.network import Network
from mirada.modelfile import Member

pytestmark = pytest.mark.slow  # a network is trained first

COUNT, SIDE = 60, 32


class Contrast(nn.Module):
    """The mean square of the normalised colours in 8 × 8 cells, of the upper left quadrant alone."""

    def __init__(self) -> None:
        super().__init__()
        read = torch.zeros(8, 8)
        read[:4, :4] = 1
        self.register_buffer("read", read)

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images.square().mean(dim=1, keepdim=True), 4) * self.read


class ReadsAQuadrant(Network):
    """The first class is likelier, the more contrast there is in the quadrant."""

    def __init__(self) -> None:
        linear = nn.Linear(1, 4)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor([[8.0], [0], [0], [0]]))
            linear.bias.zero_()
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
        super().__init__(
            stem=Contrast(), stages=(), head=head, in_channels=3, image_size=(SIDE, SIDE), min_size=1
        )


@pytest.fixture(scope="module")
def asking(trained: Path) -> Asking:
    model = load_model(trained, device="cpu")
    draw = np.random.default_rng(0)
    level, spread = np.array(model.card.preprocessing.mean), np.array(model.card.preprocessing.std)
    cells = draw.normal(0, 1, (COUNT, SIDE // 2, SIDE // 2, 1)).repeat(2, axis=1).repeat(2, axis=2)
    pixels = np.rint((level + spread * cells).clip(0, 1) * 255).astype(np.uint8)
    seen = [Seen(f"{row}.png", image, image) for row, image in enumerate(pixels)]
    network = ReadsAQuadrant().eval()
    members = [Member(network, model.card)]
    return Asking(members, model.compute, seen, np.empty((COUNT, 0)), np.zeros(COUNT, dtype=np.int64))


@pytest.fixture(scope="module")
def looked(asking: Asking) -> list[Explained]:
    return asking.look(asking.seen, np.arange(COUNT))


@pytest.fixture(scope="module")
def subject(asking: Asking, looked: list[Explained]) -> Subject:
    return asking.subject(looked, groups=None, seed=0)


def test_the_maps_are_those_of_the_quadrant(looked: list[Explained]) -> None:
    for each in looked:
        assert each.map.shape == (8, 8) and each.method.key == "exact"
        assert each.map[:4, :4].min() > 0 and not each.map[4:].any() and not each.map[:, 4:].any()


def test_they_are_faithful_and_where_they_should_be(subject: Subject, looked: list[Explained]) -> None:
    assert faithfulness(subject).outcome == "pass"
    assert road(subject).outcome == "pass"
    assert jpeg(subject).outcome == "pass"
    on_photos = [Located(each.heat, ((0, 0, 16, 16),), right=True) for each in looked]
    found = localisation(on_photos)
    assert found.outcome == "pass"
    elsewhere = [Located(each.heat, ((18, 18, 32, 32),), right=True) for each in looked]
    assert localisation(elsewhere).outcome == "fail"


def test_maps_of_chance_and_of_another_place_fail(subject: Subject) -> None:
    draw = np.random.default_rng(1)
    chance = replace(subject, maps=list(draw.random((COUNT, 8, 8)).astype(np.float32)))
    turned = replace(subject, maps=[grid[::-1, ::-1] for grid in subject.maps])
    for wrong in (chance, turned):
        assert faithfulness(wrong).outcome == "fail"
        assert road(wrong).outcome == "fail"


def test_the_score_is_the_probability_of_the_class(asking: Asking) -> None:
    """Beside the network's own softmax; whole and with everything replaced by the mean colour."""
    card = asking.members[0].card
    image = asking.seen[0].pixels
    grey = np.rint(np.array(card.preprocessing.mean) * 255).astype(np.uint8) + np.zeros_like(image)
    found = asking.score([image, grey], np.array([0, 0]))
    mean, std = (
        torch.tensor(each)[:, None, None] for each in (card.preprocessing.mean, card.preprocessing.std)
    )
    with torch.no_grad():
        shown = torch.stack([torch.from_numpy(each).permute(2, 0, 1) / 255 for each in (image, grey)])
        outputs = asking.members[0].network((shown - mean) / std) / card.temperature
    assert found == pytest.approx(outputs.softmax(dim=1)[:, 0].numpy(), abs=1e-5)
    assert found[1] == pytest.approx(0.25, abs=1e-3)  # four classes, and nothing to be seen


@pytest.mark.parametrize(("policy", "left"), [("stretch", 0), ("pad", 0), ("crop", 100)])
def test_boxes_lie_on_the_upright_file_whatever_its_size_and_orientation(
    policy: Policy, left: int, trained: Path, tmp_path: Path
) -> None:
    """Photos of 600 × 400 stored on their side, larger than they are shown; boxes in upright pixels.

    The network reads the upper left quarter of what it sees: of the photo, or of the 400 × 400 that a crop leaves.
    """
    model = load_model(trained, device="cpu")
    card = replace(model.card, preprocessing=replace(model.card.preprocessing, policy=policy))
    draw = np.random.default_rng(2)
    rows = ["filename,class,x_min,y_min,x_max,y_max"]
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter to be seen
    for number in range(12):
        upright = (
            draw.integers(0, 2, (10, 15, 1)).repeat(40, axis=0).repeat(40, axis=1).repeat(3, axis=2) * 255
        )
        stored = Image.fromarray(np.rot90(upright.astype(np.uint8)))
        stored.save(tmp_path / f"{number}.jpg", exif=exif, quality=95)
        rows.append(f"{number}.jpg,{('circle', 'star')[number % 2]},{left},0,300,200")
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    planted = replace(model, network=ReadsAQuadrant().eval(), card=card)
    index, _ = set_aside(planted, load_data(tmp_path / "boxes.csv"), tmp_path / "none.csv")
    judged = judge_explanations(planted, index, Judging(target="circle"))
    circles = [row for row in range(12) if index.targets[row] == index.classes.index("circle")]
    found = [judged.page.verdicts[0].per_image[row] for row in circles]
    assert all(value is not None and value > 0.75 for value in found), found
