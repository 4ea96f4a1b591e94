"""What holds for every method of the table: the network stays as it is, images do not mix, wrong uses are refused."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from mirada.errors import InvalidArgument
from mirada.explain.explainable import IMAGE, Explainable, Meaning
from mirada.explain.explanation import explain
from mirada.explain.methods import METHODS
from mirada.models import create_model

AT = {key: IMAGE if method.of_image else "stem" for key, method in METHODS.items()} | {"exact": "stage1"}
MANY = {"score_cam", "recipro_cam", "smooth_grad", "integrated_gradients", "occlusion", "rise"}


@pytest.fixture(autouse=True)
def few_masks(monkeypatch):
    """RISE with fewer passes: what is tested here does not depend on their number."""
    monkeypatch.setattr("mirada.explain.rise.MASKS", 20)


def find(network, images, key, classes, **options):
    return METHODS[key].find(
        Explainable(network, **options), images, AT[key], lambda _: torch.as_tensor(classes)
    )


def state(network):
    return (
        [module.training for module in network.modules()],
        [parameter.requires_grad for parameter in network.parameters()],
        [parameter.grad for parameter in network.parameters()],
        [(dict(module._forward_hooks), dict(module._forward_pre_hooks)) for module in network.modules()],
        [(dict(module._backward_hooks), dict(module._backward_pre_hooks)) for module in network.modules()],
        {name: value.clone().tolist() for name, value in network.state_dict().items()},
    )


@pytest.mark.parametrize("key", METHODS)
def test_the_network_is_left_as_it_was(gap_network, images, key):
    network = gap_network(3)
    network.stem.eval()
    network.stage1[0].weight.requires_grad = False
    before = state(network)
    found = find(network, images, key, [2] * 6)
    assert state(network) == before
    assert not found.maps.requires_grad and found.maps.dtype == torch.float32
    assert found.maps.shape == ((6, 8, 10) if AT[key] != "stage1" else (6, 4, 5))
    assert found.maps.isfinite().all() and found.maps.std(dim=(1, 2)).min() > 0
    torch.testing.assert_close(found.outputs, network.eval()(images).detach())


@pytest.mark.parametrize("key", METHODS)
def test_and_after_an_error_too(gap_network, images, key):
    network = gap_network(3)
    network.head.append(nn.Linear(4, 2))  # whose input has another size
    before = state(network)
    with pytest.raises((RuntimeError, InvalidArgument)):
        find(network, images, key, [0] * 6)
    assert state(network) == before


@pytest.mark.parametrize("key", METHODS)
def test_images_do_not_influence_each_other(gap_network, images, key):
    network, classes = gap_network(3), [0, 1, 2, 0, 1, 2]
    together = find(network, images, key, classes).maps
    alone = [find(network, images[row : row + 1], key, classes[row : row + 1]).maps for row in range(6)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("key", METHODS)
def test_inside_no_grad_and_inference_mode_and_for_frozen_weights(gap_network, images, key):
    network = gap_network(3)
    expected = find(network, images, key, [1] * 6).maps
    network.requires_grad_(requires_grad=False)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            assert torch.equal(find(network, images.clone(), key, [1] * 6).maps, expected)


@pytest.mark.parametrize("key", METHODS)
def test_class_0_of_one_output_is_its_opposite(gap_network, images, key):
    network = gap_network(1)
    up, down = (find(network, images, key, [number] * 6).maps for number in (1, 0))
    if not METHODS[key].signed:
        assert up.min() >= 0 and down.min() >= 0
    match METHODS[key].meaning:
        case Meaning.SHARE | Meaning.EFFECT if key != "layer_cam":  # of gradients above 0 alone
            torch.testing.assert_close(down, -up, atol=1e-5, rtol=1e-4)
        case Meaning.SLOPE:
            torch.testing.assert_close(down, up)
        case _:
            assert not torch.allclose(down, up) or key == "guided_backprop"


@pytest.mark.parametrize("key", [key for key in METHODS if key != "exact"])  # that is in tests/layers
def test_covariates_go_along(images, key):
    """A network whose output is scaled by its covariate: of it, every map in the output's unit is scaled too."""

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

        def forward(self, images, covariates=None):
            outputs = self.head(self.stem(images))
            return outputs if covariates is None else outputs * covariates

    network, scales = Scaled(), torch.arange(1.0, 7.0)[:, None]
    plain = find(network, images, key, [0] * 6).maps
    scaled = find(network, images, key, [0] * 6, covariates=scales).maps
    if METHODS[key].meaning is not Meaning.RELATIVE or key == "guided_backprop":
        torch.testing.assert_close(scaled, plain * scales[..., None], atol=1e-4, rtol=1e-4)
    else:
        torch.testing.assert_close(scaled[0], plain[0], atol=1e-5, rtol=1e-4)
        assert not torch.allclose(scaled[5], plain[5], rtol=1e-3)


@pytest.mark.parametrize("key", METHODS)
def test_passes_are_told_from_none_to_all(gap_network, images, key):
    told = []
    find(gap_network(3), images, key, [0] * 6, on_passes=lambda done, total: told.append((done, total)))
    assert bool(told) == (key in MANY)
    if told:
        totals = {total for _, total in told}
        done = [number for number, _ in told]
        assert len(totals) == 1 and done[0] == 0 and {done[-1]} == totals and done == sorted(set(done))


def test_memory_is_bounded_whatever_the_number_of_masks(gap_network, images, monkeypatch):
    """No pass is of more images than sixteen, or than there are."""
    monkeypatch.setattr("mirada.explain.rise.MASKS", 40)
    network = gap_network(3)
    sizes = []
    network.stem.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    for key in ("occlusion", "rise", "score_cam", "recipro_cam"):
        find(network, images, key, [0] * 6)
        find(network, images[:1], key, [0])
        find(network, images.repeat(4, 1, 1, 1), key, [0] * 24)
    assert max(sizes) == 24 and 16 in sizes and 12 in sizes


@pytest.mark.parametrize("key", [key for key, method in METHODS.items() if method.of_image])
def test_methods_of_the_image_take_no_other_layer(gap_network, images, key):
    found = explain(Explainable(gap_network(3)), images, method=key)
    assert found.layer == IMAGE and found.remark == "" and found.title == METHODS[key].title
    title = METHODS[key].title
    expected = (
        f"{title[0].upper()}{title[1:]} is about the image itself, not about stage1. Leave the layer out."
    )
    with pytest.raises(InvalidArgument) as error:
        explain(Explainable(gap_network(3)), images, method=key, layer="stage1")
    assert str(error.value) == expected


@pytest.mark.parametrize("key", ["grad_cam", "grad_cam_pp", "layer_cam", "score_cam", "recipro_cam"])
def test_methods_that_weigh_a_layer_do_not_take_the_image(gap_network, images, key):
    with pytest.raises(
        InvalidArgument, match=r"^\S+ weighs the maps of a layer, and the image has none yet\."
    ):
        explain(Explainable(gap_network(3)), images, method=key, layer=IMAGE)


def test_the_default_is_exact_or_one_gradient():
    """Whatever else there is in the table: of the image too, and for a head of any kind."""
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert explain(Explainable(create_model("resnet20")), x).method.key == "exact"
    assert explain(Explainable(create_model("resnet20")), x, layer="stage1").method.key == "grad_cam"
    assert explain(Explainable(create_model("resnet20")), x, layer=IMAGE).method.key == "hires_cam"
    assert explain(Explainable(create_model("lenet5")), torch.randn(1, 1, 32, 32)).method.key == "grad_cam"


def test_a_mean_is_compared_with_the_output_only_where_it_is_a_share_of_it():
    """Of maps whose mean may be anything, no contradiction is told."""

    class Given(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.ReLU()
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 1))
            nn.init.ones_(self.head[2].weight)
            nn.init.constant_(self.head[2].bias, -5)

        def forward(self, images):
            return self.head(self.stem(images))

    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for key, method in METHODS.items():
        (note,) = explain(Explainable(Given()), x, [1], method=key).notes
        assert ("the map as a whole speaks for this class" in note) == (method.meaning is Meaning.SHARE), key


@pytest.mark.parametrize(
    ("meaning", "unit"),
    [
        (Meaning.SHARE, "months"), (Meaning.EFFECT, "months"), (Meaning.SLOPE, "months per deviation of a pixel"),
        (Meaning.RELATIVE, "relative, no unit"),
    ],
)  # fmt: skip
def test_units_in_words(meaning, unit):
    assert meaning.unit("months") == unit
    assert Meaning.SLOPE.unit("") == "per deviation of a pixel"


def test_the_guide_has_every_method_in_the_order_of_the_table():
    page = Path(__file__).parents[2] / "docs" / "guide" / "explain.md"
    rows = re.findall(
        r"^\| `(\w+)` \|.*\|.*\|.*\|.*\|$", page.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert rows == list(METHODS)


def test_a_part_of_a_network_of_the_catalogue_is_not_run_up_to(images):
    """Behind a part only the rest runs; behind a layer within, everything: the answers are the same."""
    torch.manual_seed(0)
    network = create_model("resnet20", num_classes=3, image_size=32).eval()
    x = torch.randn(2, 3, 32, 32)
    runs = []
    network.stem.register_forward_hook(lambda *_: runs.append(1))
    for layer, ran in (("stage2", 0), ("stage2.1", 1)):
        maps, outputs = Explainable(network).read(x, layer)
        runs.clear()
        answers = Explainable(network).answer_from(layer, torch.cat([maps, 2 * maps]), x)
        assert len(runs) == ran
        torch.testing.assert_close(answers[:2], outputs)
        assert not torch.allclose(answers[2:], outputs, rtol=1e-2)
