"""What holds for the whole folder: its public names, its docstrings, and that torch is not in it."""

import ast
import inspect
from pathlib import Path

import pytest
import torch

from mirada import reference
from mirada.layers.activation import ACTIVATIONS, make_activation
from mirada.models import CATALOGUE, create_model

FILES = sorted(Path(reference.__file__).parent.glob("*.py"))
FUNCTIONS = [name for name in reference.__all__ if inspect.isfunction(getattr(reference, name))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_numpy_and_nothing_of_torch_or_the_other_folders(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    ours = {name for name in imported if name.startswith("mirada")}
    assert all(name.startswith(("mirada.reference.", "mirada.errors")) for name in ours)
    assert imported - ours <= {"numpy", "numpy.typing", "typing", "types", "dataclasses", "collections.abc"}


def test_public_names_are_complete():
    public = {
        node.name
        for path in FILES
        if not path.stem.startswith("_")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    }
    assert set(reference.__all__) == public
    assert len(reference.__all__) == len(public)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_states_shapes_and_source(name):
    text = inspect.getdoc(getattr(reference, name))
    assert "Shapes:" in text
    assert "Source:" in text


# What the layers of the networks are called here; "" for what only arranges numbers.
LAYERS = {
    "AdaptiveAvgPool2d": "global_avg_pool2d",
    "AvgPool2d": "avg_pool2d",
    "BatchNorm2d": "batch_norm_train",
    "Conv2d": "conv2d",
    "Dropout": "dropout",
    "Flatten": "flatten",
    "Identity": "",
    "Linear": "linear",
    "LocalResponseNorm": "local_response_norm",
    "MaxPool2d": "max_pool2d",
    "PReLU": "rectifier",
    "PaddedIdentity": "",  # every second pixel, and channels of zeros
    "RadialBasis": "radial_basis",
    "ReLU": "rectifier",
    "Rectifier": "rectifier",
    "ReducingMaxPool": "max_pool2d",
    "ScaledTanh": "scaled_tanh",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Unflatten": "",
}


def test_every_layer_of_the_networks_is_here():
    """One network of each family and every activation; whoever adds a layer says here where its formulas are."""
    first = {entry.family: name for name, entry in reversed(CATALOGUE.items())}
    with torch.device("meta"):
        networks = [create_model(name) for name in (*first.values(), "resnet20")]  # its shortcuts are its own
        modules = [make_activation(name, 3) for name in ACTIVATIONS]
    modules += [m for network in networks for m in network.modules() if not list(m.children())]
    assert {type(module).__name__ for module in modules} == LAYERS.keys()
    assert set(LAYERS.values()) - {""} <= set(reference.__all__)
    for name in set(LAYERS.values()) - {"", "batch_norm_train"}:
        assert f"{name}_backward" in reference.__all__
