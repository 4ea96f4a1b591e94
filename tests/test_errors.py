"""The tree of errors, and the suggestion for an unknown name."""

import inspect

import pytest

import mirada
from mirada import errors
from mirada.errors import MiradaError, nearest

PARENTS = {
    "InvalidArgument": ValueError,
    "RecipeError": ValueError,
    "DataError": ValueError,
    "CheckpointError": RuntimeError,
    "TrainingError": RuntimeError,
}
WITHIN = {
    "ProcessLost": errors.TrainingError,
    "ClusterError": MiradaError,
}  # caught as what they are kinds of


def test_the_tree_is_all_there_is() -> None:
    classes = {
        name for name, thing in vars(errors).items() if inspect.isclass(thing) and thing is not MiradaError
    }
    raised = {name for name in classes if not issubclass(getattr(errors, name), Warning)}
    assert {
        name for name in raised if issubclass(getattr(errors, name), Exception)
    } == PARENTS.keys() | WITHIN


@pytest.mark.parametrize("name", PARENTS)
def test_each_is_caught_as_mirada_and_as_python_has_it(name: str) -> None:
    kind = getattr(errors, name)
    assert kind.__bases__ == (MiradaError, PARENTS[name])
    assert getattr(mirada, name) is kind
    with pytest.raises(PARENTS[name], match="a sentence"):
        raise kind("a sentence")


@pytest.mark.parametrize("name", WITHIN)
def test_a_kind_of_another_is_caught_as_that(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, WITHIN[name]) and issubclass(kind, RuntimeError)
    assert not hasattr(mirada, name)
    with pytest.raises(WITHIN[name], match="a sentence"):
        raise kind("a sentence")


def test_the_root_is_public() -> None:
    assert mirada.MiradaError is MiradaError
    assert MiradaError.__bases__ == (Exception,)


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("resnet81", ["resnet18", "lenet5"], 'Did you mean "resnet18"? Known: lenet5, resnet18.'),
        ("vgg16", ["resnet18", "lenet5"], "Known: lenet5, resnet18."),
        ("epoch", {"epochs": 1, "lr": 2}, 'Did you mean "epochs"? Known: epochs, lr.'),
        ("", ["b", "a"], "Known: a, b."),
        ("a", (name for name in ("c", "b")), "Known: b, c."),
    ],
)
def test_nearest(name: str, known: list[str], text: str) -> None:
    assert nearest(name, known) == text
