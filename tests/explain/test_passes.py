"""One pass forwards and one backwards with everything kept: against hooks of plain torch."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from mirada.errors import InvalidArgument
from mirada.explain.passes import open_passes
from mirada.models import create_model

NETWORKS = [
    ("lenet5", 1, 32, {}),
    ("lenet5_1998", 1, 32, {}),
    ("simplecnn", 3, 64, {}),
    ("resnet20", 3, 32, {}),
    ("plain20", 3, 32, {}),
    ("googlenet", 3, 64, {}),
    ("densenet121", 3, 64, {"growth": 4}),
    ("alexnet", 3, 67, {}),
]


def network_of(name: str, channels: int, size: int, options: dict[str, object]) -> nn.Module:
    torch.manual_seed(0)
    network = create_model(name, num_classes=5, in_channels=channels, image_size=(size, size), **options)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
    return network


def by_hooks(network: nn.Module, image: Tensor, output: int) -> dict[str, tuple[Tensor, Tensor]]:
    """What every layer puts out and the gradient of the output by it, with torch alone.

    A copy without work in place: there a hook would see what comes after.
    """
    network = deepcopy(network)
    for layer in network.modules():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    values: dict[str, Tensor] = {}
    gradients: dict[str, Tensor] = {}

    def hook_of(name: str):
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            values[name] = output.detach().clone()
            output.register_hook(lambda gradient: gradients.__setitem__(name, gradient.clone()))

        return hook

    for name, layer in network.named_modules():
        if not list(layer.children()) and not isinstance(layer, nn.Dropout | nn.Identity):
            layer.register_forward_hook(hook_of(name))
    network.eval()
    network(image.clone().requires_grad_())[0, output].backward()
    return {name: (values[name], gradients[name]) for name in gradients}


@pytest.mark.parametrize(("name", "channels", "size", "options"), NETWORKS, ids=[row[0] for row in NETWORKS])
def test_values_and_gradients_are_those_of_hooks(
    name: str, channels: int, size: int, options: dict[str, object]
) -> None:
    network = network_of(name, channels, size, options)
    image = torch.randn(1, channels, size, size, generator=torch.Generator().manual_seed(1))
    expected = by_hooks(network, image, 3)
    steps = open_passes(network, image, None, 3)
    found = {step.name: step for step in steps if step.module is not None}
    assert expected.keys() - found.keys() == set()
    for layer, (values, gradient) in expected.items():
        torch.testing.assert_close(found[layer].values, values, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(found[layer].gradient, gradient, rtol=1e-6, atol=1e-7)
    assert all(max(step.inputs, default=-1) < number for number, step in enumerate(steps))


def test_the_gradient_by_the_image_is_that_of_autograd() -> None:
    network = network_of("resnet20", 3, 32, {}).eval()
    image = torch.randn(1, 3, 32, 32)
    entering = image.clone().requires_grad_()
    network(entering)[0, 1].backward()
    first, *_, last = open_passes(network, image, None, 1)
    torch.testing.assert_close(first.gradient, entering.grad, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(last.values, network(image), rtol=0, atol=0)


def test_a_network_is_left_as_it_was() -> None:
    network = network_of("resnet20", 3, 32, {}).train()
    network.stem.conv.weight.requires_grad = False
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    open_passes(network, torch.randn(1, 3, 32, 32), None, 0)
    assert network.training and not network.stem.conv.weight.requires_grad
    assert network.head.linear.weight.requires_grad and network.head.linear.weight.grad is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules())


def test_functions_between_layers_are_steps_too() -> None:
    """By hand: y = relu(2x) + x, whose gradient is 3 above 0 and 1 below."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Identity()  # with a child it is no layer itself

        def forward(self, x: Tensor) -> Tensor:
            return (torch.relu(x * 2.0) + x).flatten(1)

    image = torch.tensor([[[[1.0, -3.0]]]])
    steps = open_passes(Own(), image, None, 0)
    assert [step.function for step in steps] == ["", "mul", "relu", "add", "flatten"]
    assert steps[1].operand == 2.0 and steps[3].inputs == (2, 0)
    assert steps[3].values.tolist() == [[[[3.0, -3.0]]]]
    assert steps[0].gradient.tolist() == [[[[3.0, 0.0]]]]


def test_one_image_is_opened() -> None:
    with pytest.raises(InvalidArgument, match="One normalized image"):
        open_passes(nn.Flatten(), torch.zeros(2, 1, 3, 3), None, 0)
