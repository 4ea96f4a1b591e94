"""Frozen parts: they keep weights and statistics, the rest learns, and a wrong name is said."""

import pytest
import torch
from torch import nn

from mirada.errors import RecipeError
from mirada.models import create_model
from mirada.training.freezing import NOTHING, freeze
from mirada.training.optimizer import Optimizer
from mirada.training.recipe import Recipe
from mirada.training.stepping import Adam


def step(network: nn.Module, recipe: Recipe) -> None:
    optimizer = Optimizer(network, recipe.optimizer)
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimizer.step(0.1)


def test_frozen_parts_stay_as_they_are_and_the_rest_learns() -> None:
    """Batch normalization's running statistics included."""
    torch.manual_seed(0)
    network = create_model("resnet20", num_classes=2)
    frozen = freeze(network, ["stage1", "stem"])
    frozen.train(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    step(network, Recipe(optimizer=Adam(weight_decay=0.1)))
    for name, value in network.state_dict().items():
        kept = name.startswith(("stem.", "stage1."))
        assert torch.equal(value, before[name]) == kept, name
    assert not network.stem.training and not network.stage1.training
    assert network.stage2.training and network.head.training


def test_it_says_what_is_frozen() -> None:
    network = create_model("alexnet", num_classes=2)
    frozen = freeze(network, ("stem",))
    assert str(frozen) == "frozen: stem, 34,944 parameters"
    assert frozen.parameters == sum(value.numel() for value in network.stem.parameters())
    assert not any(value.requires_grad for value in network.stem.parameters())


def test_it_says_what_comes_of_it() -> None:
    assert str(freeze(create_model("resnet20"), ["stem", "stage2"])).split("\n")[1:] == [
        "  The batch normalization of frozen parts keeps the statistics that it has.",
        "  stage2 cannot be computed once, since a part before learns: run in every step.",
    ]


def test_nothing_frozen() -> None:
    network = create_model("lenet5").eval()
    assert freeze(network, ()) == NOTHING
    NOTHING.train(network)
    assert all(part.training for part in network.modules())


def test_no_gradient_is_computed_before_the_first_part_that_learns() -> None:
    network = create_model("resnet20", num_classes=2)
    freeze(network, ("stem", "stage1"))
    assert not network.stage1(network.stem(torch.zeros(2, 3, 32, 32))).requires_grad


def test_what_cannot_be_frozen() -> None:
    network = create_model("lenet5")
    with pytest.raises(
        RecipeError, match=r'^freeze: the network has no part "stage9"\. Did you mean "stage1"\?'
    ):
        freeze(network, ["stage9"])
    with pytest.raises(
        RecipeError, match=r"^freeze: the head has to learn, so leave it out\. Got stem, head"
    ):
        freeze(network, ["stem", "head"])
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_all_is_all_but_the_head() -> None:
    """Auxiliary heads are not frozen: those of parts that are thawed later will have to learn."""
    network = create_model("googlenet", num_classes=2, image_size=(79, 79), auxiliary=True)
    frozen = freeze(network, ["all"])
    assert frozen.names == network.parts()[:-1] and frozen.place == network.parts()[-2]
    learning = {name for name, value in network.named_parameters() if value.requires_grad}
    assert {name.partition(".")[0] for name in learning} == {"head", "auxiliary"}


def test_the_place_is_the_last_of_the_first_parts() -> None:
    places = {("stem",): "stem", ("stage1", "stem"): "stage1", ("stem", "stage2"): "stem", ("stage1",): ""}
    for names, place in places.items():
        assert freeze(create_model("resnet20"), names).place == place
