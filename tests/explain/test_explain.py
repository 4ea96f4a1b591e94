"""The one call that explains any network: method, layer, class, completeness error, and why a map is blank."""

import numpy as np
import pytest
import torch
from torch import nn

from mirada.errors import InvalidArgument
from mirada.explain.class_maps import EXACT, class_maps
from mirada.explain.explainable import IMAGE, Explainable
from mirada.explain.explanation import explain as explain_opened
from mirada.explain.grad_cam import GRAD_CAM
from mirada.explain.hires_cam import HIRES_CAM
from mirada.explain.methods import METHODS
from mirada.models import create_model
from mirada.samples import Numbers

NUMBER = Numbers()
ONE_MAP = ("exact", "grad_cam", "hires_cam")  # tests/explain/test_methods.py has what holds for all


def explain(network, images, classes=None, **options):
    return explain_opened(Explainable(network), images, classes, **options)


def grad_cam(network, images, classes):
    return GRAD_CAM.find(Explainable(network), images, "stage1", lambda _: torch.as_tensor(classes)).maps


def test_exact_maps_of_the_predicted_classes(gap_network, images):
    network = gap_network(4)
    found = explain(network, images)
    assert found.method is EXACT and found.title == "class activation map (exact)"
    assert found.completeness_error is not None and found.completeness_error < 1e-4
    outputs = network.eval()(images).detach().numpy()
    np.testing.assert_allclose(found.outputs, outputs, atol=1e-6)
    np.testing.assert_array_equal(found.classes, outputs.argmax(axis=1))
    np.testing.assert_array_equal(found.maps, class_maps(network, images).of(found.classes).numpy())
    assert found.maps.dtype == found.outputs.dtype == np.float32 and found.classes.dtype == np.int64
    assert len(found.notes) == 6


def test_grad_cam_for_another_head(dense_network, images):
    network = dense_network(4)
    found = explain(network, images)
    assert found.method is GRAD_CAM and found.completeness_error is None
    np.testing.assert_array_equal(found.classes, network.eval()(images).argmax(dim=1).numpy())
    np.testing.assert_allclose(found.maps, grad_cam(network, images, found.classes).numpy(), atol=1e-7)


@pytest.mark.parametrize("kind", ["gap_network", "dense_network"])
def test_classes_that_are_asked_for(kind, images, request):
    network = request.getfixturevalue(kind)(3)
    asked = [2, 1, 0, 0, 1, 2]
    found = explain(network, images, asked)
    assert found.classes.tolist() == asked
    np.testing.assert_allclose(found.maps, grad_cam(network, images, asked).numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", ["gap_network", "dense_network"])
def test_one_output_of_two_classes_is_read_by_its_sign(kind, images, request):
    network = request.getfixturevalue(kind)(1)
    network.head[-1].bias.data.sub_(network.eval()(images).median())
    found = explain(network, images)
    assert set(found.classes.tolist()) == {0, 1}
    np.testing.assert_array_equal(found.classes, found.outputs[:, 0] > 0)
    of_the_output = explain(network, images, [1] * 6)
    signs = np.where(found.outputs > 0, 1, -1)[:, :, None]
    np.testing.assert_array_equal(found.maps, signs * of_the_output.maps)


def test_a_regression_shows_its_output_whatever_the_sign(gap_network, images):
    network = gap_network(1)
    network.head[-1].bias.data.fill_(-9)
    found = explain(network, images, target=NUMBER)
    assert (found.outputs < 0).all() and found.classes.tolist() == [0] * 6
    total = found.maps.mean(axis=(1, 2)) + network.head[-1].bias.item()
    np.testing.assert_allclose(total, found.outputs[:, 0], atol=1e-4)


class Given(nn.Module):
    """A network whose features are its images and whose output is their mean."""

    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 1, bias=False))
        nn.init.ones_(self.head[2].weight)

    def forward(self, images):
        return self.head(images)


SLOPE = torch.arange(1.0, 7.0).reshape(1, 1, 2, 3)


@pytest.mark.parametrize(
    ("maps", "note"),
    [
        (SLOPE - 3, ""),
        (-SLOPE, "no positive evidence for this class anywhere"),
        (SLOPE - 6, "no positive evidence for this class anywhere"),
        (0 * SLOPE, "the map is zero everywhere"),
        (0 * SLOPE + 0.3, "the map is constant"),
        (SLOPE * 1e-8 - 2, "the map is constant"),
        (SLOPE[..., :1, :1], "the map has a single cell: this network keeps no places up to its head"),
    ],
)
def test_a_blank_map_says_why(maps, note):
    assert explain(Given(), maps, [1]).notes == (note,)


def test_a_regression_may_be_below_its_bias_everywhere():
    assert explain(Given(), -SLOPE, target=NUMBER).notes == ("",)


def test_notes_are_those_of_each_image():
    notes = explain(Given(), torch.cat([SLOPE, -SLOPE, 0 * SLOPE]), [1, 1, 1]).notes
    assert notes == ("", "no positive evidence for this class anywhere", "the map is zero everywhere")


@pytest.mark.parametrize("kind", ["gap_network", "dense_network"])
def test_outputs_that_are_not_finite(kind, images, request):
    images[2, 0, 0, 0] = float("nan")
    images[4] = float("inf")
    expected = r"2 of 6 images have outputs that are not finite \(first: row 2 of the batch\)"
    with pytest.raises(InvalidArgument, match=expected):
        explain(request.getfixturevalue(kind)(3), images)


def test_a_regression_with_several_outputs_must_name_one(gap_network, images):
    three = Numbers(("a", "b", "c"))
    with pytest.raises(InvalidArgument, match=r"The network puts out 3 numbers: name the one to explain"):
        explain(gap_network(3), images, target=three)
    assert explain(gap_network(3), images, [2] * 6, target=three).classes.tolist() == [2] * 6


def test_wrong_classes(gap_network, images):
    with pytest.raises(InvalidArgument, match=r"one class number per image, 6 in all"):
        explain(gap_network(3), images, [0])


def test_the_network_is_left_as_it_was(dense_network, images):
    network = dense_network(3)
    before = [(module.training, len(module._forward_hooks)) for module in network.modules()]
    explain(network, images)
    assert [(module.training, len(module._forward_hooks)) for module in network.modules()] == before
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


# Methods and layers ----------------------------------------------------------------------------------------


def test_every_method_is_known_by_its_key_and_says_its_source():
    for key, method in METHODS.items():
        assert key == method.key and ("arXiv:" in method.source or "doi:" in method.source)
    assert [key for key, method in METHODS.items() if method.adds_up_to] == ["exact", "integrated_gradients"]


@pytest.mark.parametrize("method", ONE_MAP)
def test_a_method_by_name(gap_network, images, method):
    """On a head of averages these give one map."""
    found = explain(gap_network(3), images, method=method)
    assert found.method is METHODS[method]
    np.testing.assert_allclose(found.maps, explain(gap_network(3), images).maps, atol=1e-5)
    assert (found.completeness_error is not None) == bool(METHODS[method].adds_up_to)


@pytest.mark.parametrize("kind", ["gap_network", "dense_network"])
def test_the_network_runs_once(kind, images, request):
    """Not once more to know how large the maps of its parts are."""
    network, runs = request.getfixturevalue(kind)(3), []
    network.register_forward_pre_hook(lambda *_: runs.append(1))
    explain(network, images)
    assert len(runs) == 1


def test_an_unknown_method_or_one_that_the_head_or_layer_does_not_allow(gap_network, dense_network, images):
    for network, options, sentence in (
        (
            gap_network(3),
            {"method": "gradcam"},
            'There is no method "gradcam". Did you mean "grad_cam"? Known: exact, ',
        ),
        (
            dense_network(3),
            {"method": "exact"},
            "Exact class maps need a head of global average pooling and linear",
        ),
        (
            gap_network(3),
            {"method": "exact", "layer": "stem"},
            "Exact class maps are those that enter the head, which",
        ),
        (
            gap_network(3),
            {"method": "grad_cam", "layer": IMAGE},
            "Grad-CAM weighs the maps of a layer, and the image",
        ),
        (gap_network(3), {"layer": "stagee"}, 'There is no layer "stagee". Did you mean "stage1"?'),
        (gap_network(3), {"layer": "head"}, '"head" cannot be explained by a map: '),
        (
            gap_network(3),
            {"layer": "head.0"},
            'The maps of "head.0" are 1 × 1: they have no places. Did you mean "stage',
        ),
    ):
        with pytest.raises(InvalidArgument) as error:
            explain(network, images, **options)
        assert str(error.value).startswith(sentence)


def test_any_layer(gap_network, images):
    """The first method that the layer allows, on the layer's own grid, with the layer in the title."""
    network = gap_network(3)
    for layer, size, method in (
        ("stem", (8, 10), GRAD_CAM),
        ("stem.0", (8, 10), GRAD_CAM),
        (IMAGE, (8, 10), HIRES_CAM),
    ):
        found = explain(network, images, layer=layer)
        assert found.method is method and found.layer == layer and found.maps.shape == (6, *size)
        assert found.title == f"{method.title} at {layer}"
    assert explain(network, images, layer="stage1").title == EXACT.title


@pytest.mark.parametrize(
    ("name", "layer", "side", "options"),
    [
        ("lenet5_1998", "stage1", 5, {}),
        ("bonet", "stage3", 4, {"image_size": 220, "in_channels": 1}),
        ("mlp", IMAGE, 28, {}),
        ("mlp", IMAGE, 28, {"head": "average"}),
        ("resnet18", "stage3", 2, {"image_size": 32}),
        ("resnet20", "stage3", 8, {}),
        ("lenet5", "stage1", 5, {}),
    ],
)
def test_where_the_last_maps_have_one_cell_an_earlier_layer_is_taken(name, layer, side, options, monkeypatch):
    """The last part that has places, and it is said once; where the last one has some, nothing is said."""
    monkeypatch.setattr("os.sysconf", lambda _: 2**40)
    if name == "bonet":
        options = options | {"head": "average"}  # the dense head would take minutes to draw
    torch.manual_seed(0)
    network = create_model(name, num_classes=3, **options)
    batch = torch.randn(2, network.in_channels, *network.image_size)
    found = explain(network, batch)
    last = f"stage{network.depth}"
    assert found.layer == layer and found.maps.shape == (2, side, side)
    if layer == last:
        assert found.remark == "" and found.title == found.method.title
    else:
        assert found.remark.startswith(
            f"{last} keeps no places (its maps are 1 × 1), so the maps are those of "
        )
        assert found.title == f"{found.method.title} at {layer}"
        assert found.method is (HIRES_CAM if layer == IMAGE else GRAD_CAM)


# What the map and the answer say ---------------------------------------------------------------------------


def test_a_map_that_contradicts_the_answer_says_so():
    """With one output the bias decides against what the places say, in either direction."""
    network = Biased()
    for bias, maps, said in (
        (9.0, SLOPE - 5, "against this class (−1.5), which the network answers all the same (+7.5)"),
        (-9.0, SLOPE - 3, "for this class (+0.5), which is not the network's answer (−8.5)"),
    ):
        network.head[2].bias.data.fill_(bias)
        for method in ONE_MAP:
            (note,) = explain(network, maps, [1], method=method, layer="body").notes
            assert note == f"the map as a whole speaks {said}: what has no place, such as biases, decided"
    network.head[2].bias.data.fill_(0.0)
    assert explain(network, SLOPE - 3, [1]).notes == ("",)


def test_with_several_outputs_only_the_answers_own_map_can_contradict_it():
    """Outputs that are all negative, as distances are, contradict nothing; nor does evidence for another class."""
    network = Biased(outputs=3)
    network.head[2].weight.data = torch.tensor([[1.0], [-1.0], [0.5]])
    network.head[2].bias.data = torch.tensor([-9.0, -99.0, -50.0])
    assert explain(network, SLOPE - 3).notes == ("",)  # +0.5, and −8.5 is the largest output
    assert explain(network, SLOPE - 3, [2]).notes == ("",)
    (note,) = explain(network, SLOPE - 4).notes
    assert note.startswith(
        "the map as a whole speaks against this class (−0.5), which the network answers all the "
    )
    assert note.endswith("such as biases, or the other classes' lower outputs, decided")


class Biased(nn.Module):
    """The mean of the image and a bias."""

    def __init__(self, outputs=1):
        super().__init__()
        self.body = nn.Identity()
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, outputs))
        nn.init.ones_(self.head[2].weight)

    def forward(self, images):
        return self.head(self.body(images))


def test_a_number_is_never_contradicted():
    network = Biased()
    network.head[2].bias.data.fill_(99.0)
    assert explain(network, SLOPE - 5, target=NUMBER).notes == ("",)
