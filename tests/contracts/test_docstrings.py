"""Every public thing says what it is; what takes tensors says their shapes."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mirada
from mirada.models import CATALOGUE

SRC = Path(mirada.__file__).parent
TREES = {
    file.relative_to(SRC).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
    for file in sorted(SRC.rglob("*.py"))
}
Documented = ast.Module | ast.ClassDef | ast.FunctionDef
FAMILIES = sorted({f"models/{entry.family}.py" for entry in CATALOGUE.values()})
ENDS_A_SENTENCE = re.compile(r"[.:?!…][”\"'`)\]]*(?=\n|$)|[.:] \(.*\)$")  # a shape may follow
SHAPE = re.compile(r"\((N|n|C|\.\.\.)[,)]|[Aa]ny shape")  # (N, C, H, W), (n,), (C, h, w), (..., n)


def public(name: str) -> Iterator[tuple[str, Documented]]:
    """The module, its public classes and functions, and the public methods of its public classes."""
    tree = TREES[name]
    yield name, tree
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{name}:{node.name}", node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{name}:{node.name}.{inner.name}", inner


def overloaded(node: Documented) -> bool:
    decorators = [] if isinstance(node, ast.Module) else [ast.unparse(d) for d in node.decorator_list]
    return any(decorator.endswith("overload") for decorator in decorators)


def takes_tensors(node: ast.FunctionDef) -> bool:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    hints = [ast.unparse(a.annotation) for a in arguments if a.annotation]
    return any(re.search(r"\bTensor\b", hint) for hint in hints)


@pytest.mark.parametrize("name", TREES)
def test_every_public_thing_says_what_it_is(name: str) -> None:
    silent = [where for where, node in public(name) if not overloaded(node) and not ast.get_docstring(node)]
    assert not silent


@pytest.mark.parametrize("name", TREES)
def test_the_first_paragraph_is_a_sentence(name: str) -> None:
    """It may run over two lines; a shape may follow it, and a list after a colon."""
    paragraphs = {where: (ast.get_docstring(node) or "").partition("\n\n")[0] for where, node in public(name)}
    odd = [where for where, text in paragraphs.items() if text and not ENDS_A_SENTENCE.search(text)]
    assert not odd


@pytest.mark.parametrize("name", [n for n in TREES if n.startswith(("layers/", "models/", "explain/"))])
def test_shapes_are_said_where_tensors_come_in(name: str) -> None:
    """In the function's docstring, or in that of its class."""
    dumb = []
    for where, node in public(name):
        if isinstance(node, ast.FunctionDef) and takes_tensors(node):
            owner = where.partition(":")[2].partition(".")[0]
            texts = [
                ast.get_docstring(n) or ""
                for n in (node, *(c for c in TREES[name].body if getattr(c, "name", "") == owner))
                if isinstance(n, Documented)
            ]
            if not any(SHAPE.search(text) for text in texts):
                dumb.append(where)
    assert not dumb


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_says_its_source_and_where_it_differs(name: str) -> None:
    text = ast.get_docstring(TREES[name]) or ""
    assert re.search(r"^Differs from the (papers?|notes):", text, flags=re.MULTILINE)
    assert re.search(r"^Shapes: images \(N, \d+, \d+, \d+\) → outputs \(N, \d+\)", text, flags=re.MULTILINE)
    assert re.search(r"\b(19|20)\d\d\b", text)  # the year of its source


# The names of mirada.__all__ ----------------------------------------------------------------------------------------

CLASSES = [kind for name in mirada.__all__ if inspect.isclass(kind := getattr(mirada, name))]


def public_functions() -> dict[str, Callable[..., object]]:
    """The functions of ``mirada.__all__`` and the public methods of its classes, those that they inherit included."""
    found: dict[str, Callable[..., object]] = {}
    for name in mirada.__all__:
        named = getattr(mirada, name)
        if inspect.isfunction(named):
            found[name] = named
        for inner, method in inspect.getmembers(named, inspect.isroutine) if inspect.isclass(named) else ():
            if not inner.startswith("_") and str(getattr(method, "__module__", "")).startswith("mirada."):
                found[f"{name}.{inner}"] = method
    return found


PUBLIC = public_functions()


def described_arguments(text: str) -> set[str]:
    """The names in the Args section of a docstring."""
    section = re.search(r"^Args:\n((?:    .*\n?|\n(?=    ))+)", text, flags=re.MULTILINE)
    return set(re.findall(r"^    \**(\w+): \S", section[1], flags=re.MULTILINE)) if section else set()


def test_what_counts_as_described() -> None:
    text = "One.\n\nArgs:\n    a: First,\n        with b: more.\n    **c: Others.\n\nReturns:\n    d: None.\n"
    assert described_arguments(text) == {"a", "c"}
    assert described_arguments("One, with a: such.") == set()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_argument_of_a_public_function_is_described(name: str) -> None:
    parameters = set(inspect.signature(PUBLIC[name]).parameters) - {"self", "cls"}
    assert described_arguments(inspect.getdoc(PUBLIC[name]) or "") == parameters


@pytest.mark.parametrize("name", PUBLIC)
def test_what_a_public_function_returns_is_described(name: str) -> None:
    returns = inspect.signature(PUBLIC[name]).return_annotation not in (None, "None")
    described = re.search(r"^Returns:\n    \S", inspect.getdoc(PUBLIC[name]) or "", flags=re.MULTILINE)
    assert bool(described) == returns


@pytest.mark.parametrize(
    "kind", [kind for kind in CLASSES if not issubclass(kind, Exception)], ids=lambda kind: kind.__name__
)
def test_every_argument_of_a_public_class_is_described(kind: type) -> None:
    """In its own docstring or in that of a class it extends."""
    texts = [inspect.cleandoc(each.__dict__.get("__doc__") or "") for each in kind.__mro__]
    described = set().union(*map(described_arguments, texts))
    assert set(inspect.signature(kind).parameters) <= described
