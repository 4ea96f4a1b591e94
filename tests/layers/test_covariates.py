"""Covariates beside the features: where they enter, what they change, and that a network begins as it was."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mirada.errors import InvalidArgument
from mirada.explain.class_maps import EXACT
from mirada.explain.explainable import Explainable
from mirada.explain.explanation import explain
from mirada.explain.grad_cam import GRAD_CAM
from mirada.layers.blocks import average_head, dense_head
from mirada.layers.covariates import join_covariates
from mirada.layers.network import Network
from mirada.models import CATALOGUE, create_model

IMAGES = torch.randn(5, 1, 12, 12, generator=torch.Generator().manual_seed(1))
BESIDE = torch.randn(5, 2, generator=torch.Generator().manual_seed(2))


def network(head: nn.Module) -> Network:
    return Network(
        stem=nn.Conv2d(1, 4, 3), stages=[], head=head, in_channels=1, image_size=(12, 12), min_size=3
    )


def joined(head: nn.Module) -> Network:
    """With weights for the covariates that are not zero."""
    made = join_covariates(network(head), 2)
    with torch.no_grad():
        layer = made.head.joint  # type: ignore[union-attr]
        layer.weight[:, -2:] = torch.randn(layer.out_features, 2, generator=torch.Generator().manual_seed(3))
    return made.eval()


HEADS = {
    "average": lambda: average_head(4, 3, dropout=0.5),
    "dense": lambda: dense_head(400, (6, 5), 3, dropout=0.5),
    "grid": lambda: dense_head(16, (6,), 3, grid=2),
}


@pytest.mark.parametrize("kind", HEADS)
def test_at_first_the_outputs_are_those_without(kind: str) -> None:
    torch.manual_seed(0)
    plain = network(HEADS[kind]()).eval()
    before, names = plain(IMAGES), list(plain.state_dict())
    wider = join_covariates(plain, 2)
    torch.testing.assert_close(wider(IMAGES, BESIDE), before)
    assert list(wider.state_dict()) == names
    wider(IMAGES, BESIDE).sum().backward()
    assert (wider.head.joint.weight.grad[:, -2:] != 0).any()  # type: ignore[union-attr]


def test_average_head_is_the_formula() -> None:
    torch.manual_seed(0)
    made = joined(average_head(4, 3))
    features = torch.cat((made.features(IMAGES).mean(dim=(2, 3)), BESIDE), dim=1)
    linear = made.head.linear  # type: ignore[union-attr]
    torch.testing.assert_close(made(IMAGES, BESIDE), features @ linear.weight.T + linear.bias)


def test_dense_head_is_the_formula() -> None:
    torch.manual_seed(0)
    made = joined(dense_head(400, (6,), 3))
    features = torch.cat((made.features(IMAGES).flatten(1), BESIDE), dim=1)
    hidden = F.linear(features, made.head.hidden1.weight, made.head.hidden1.bias).relu()  # type: ignore[union-attr]
    torch.testing.assert_close(made(IMAGES, BESIDE), made.head.linear(hidden))  # type: ignore[union-attr, operator]


def test_dropout_spares_the_covariates() -> None:
    """Of a thousand passes none loses the second number."""
    made = joined(average_head(4, 1, dropout=0.9)).train()
    with torch.no_grad():
        made.head.linear.weight[:, :4] = 0  # type: ignore[union-attr, index, operator]
        outputs = torch.stack([made(IMAGES, BESIDE) for _ in range(1000)])
    assert (outputs == outputs[0]).all()


@pytest.mark.parametrize("kind", HEADS)
def test_none_stands_for_their_mean(kind: str) -> None:
    torch.manual_seed(0)
    made = joined(HEADS[kind]())
    torch.testing.assert_close(made(IMAGES), made(IMAGES, torch.zeros(5, 2)))


def test_training_outputs_read_them_and_auxiliary_heads_do_not() -> None:
    made = Network(
        stem=nn.Conv2d(1, 4, 3), stages=[nn.Conv2d(4, 4, 3)], head=average_head(4, 3), in_channels=1,
        image_size=(12, 12), min_size=5, auxiliary={"stage1": average_head(4, 3)},
    )  # fmt: skip
    join_covariates(made, 2)
    with torch.no_grad():
        made.head.joint.weight[:, -2:] = 1.0  # type: ignore[union-attr]
    main, extra = made.training_outputs(IMAGES, BESIDE)
    torch.testing.assert_close(main, made(IMAGES, BESIDE))
    torch.testing.assert_close(extra, made.training_outputs(IMAGES)[1])
    assert not torch.allclose(main, made(IMAGES))


def test_class_maps_stay_exact() -> None:
    """mean(map) + b + W_c c is the output, for every row with its own covariates."""
    torch.manual_seed(0)
    made = joined(average_head(4, 3))
    found = explain(Explainable(made, BESIDE), IMAGES)
    assert found.method is EXACT and found.completeness_error is not None and found.completeness_error < 1e-5
    outputs = made(IMAGES, BESIDE).detach()
    torch.testing.assert_close(torch.from_numpy(found.outputs), outputs)
    linear = made.head.linear  # type: ignore[union-attr]
    for row, number in enumerate(found.classes):
        rest = linear.bias[number] + linear.weight[number, 4:] @ BESIDE[row]  # type: ignore[index, union-attr]
        assert found.maps[row].mean() + rest.item() == pytest.approx(outputs[row, number].item(), abs=1e-5)


def test_grad_cam_is_that_of_the_concatenation() -> None:
    """The gradient through the hidden layer depends on the covariates."""
    torch.manual_seed(0)
    made = joined(dense_head(400, (6,), 3))
    found = explain(Explainable(made, BESIDE), IMAGES, [2] * 5)
    maps: Tensor = made.features(IMAGES).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(made.head(maps, BESIDE)[:, 2].sum(), maps)
    expected = torch.einsum("nc,nchw->nhw", gradient.sum(dim=(2, 3)), maps.detach())
    assert found.method is GRAD_CAM
    torch.testing.assert_close(torch.from_numpy(found.maps), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CATALOGUE)
def test_they_join_every_network(name: str) -> None:
    with torch.device("meta"):
        plain = create_model(name)
        before = sum(parameter.numel() for parameter in plain.parameters())
        wider = join_covariates(plain, 3)
    joint = wider.head.joint  # type: ignore[union-attr]
    assert sum(p.numel() for p in wider.parameters()) == before + 3 * joint.out_features  # type: ignore[operator, union-attr]


@pytest.mark.parametrize(
    "head", [nn.Flatten(), nn.Sequential(nn.Conv2d(4, 3, 1), nn.Flatten()), nn.Linear(3, 3)]
)
def test_a_head_that_they_cannot_join(head: nn.Module) -> None:
    with pytest.raises(
        InvalidArgument, match=r"^Covariates cannot join this network: its head has no linear layer"
    ):
        join_covariates(network(head), 1)


def test_covariates_that_a_network_does_not_read() -> None:
    with pytest.raises(
        InvalidArgument, match=r"^This network reads images alone\. Got covariates of shape \(5, 2\); "
    ):
        network(average_head(4, 3))(IMAGES, BESIDE)
    with pytest.raises(
        InvalidArgument, match=r"^This network reads 2 covariates beside each image\. Got .* \(5, 1\); "
    ):
        joined(average_head(4, 3))(IMAGES, BESIDE[:, :1])
