"""The rules of the house, read from the source with ast: who imports whom, and how large things may be."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mirada

SRC = Path(mirada.__file__).parent
FILES = sorted(SRC.rglob("*.py"))
TREES = {file.relative_to(SRC).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in FILES}
Function = ast.FunctionDef | ast.AsyncFunctionDef

# Every folder, and every file beside the folders, with the rooms that it may import. Its own and the leaves that all
# may use go unsaid.
LEAVES = {"arithmetic", "codec", "errors", "events", "files", "samples", "settings", "svg", "text"}
MAY_IMPORT: dict[str, set[str]] = {
    "arithmetic": set(),
    "codec": set(),
    "errors": set(),
    "samples": set(),
    "settings": set(),
    "events": set(),
    "text": set(),
    "svg": set(),
    "files": set(),
    "cluster": set(),
    "compute": set(),
    "processes": set(),
    "reference": set(),
    "layers": set(),
    "summary": {"layers", "models"},
    "diagram": {"summary"},
    "lessons": {
        "compute", "data", "diagram", "evaluation", "explain", "inference", "layers", "modelfile", "models",
        "reference", "runs", "store", "summary", "training",
    },
    "pages": {"evaluation", "judging", "lessons", "runs"},
    "runs": {"evaluation"},
    "data": set(),
    "models": {"layers"},
    "store": {"models"},
    "explain": {"layers"},
    "modelfile": {"models", "data", "evaluation", "layers"},
    "evaluation": {"data", "compute", "layers", "processes"},
    "training": {"models", "data", "evaluation", "modelfile", "layers", "compute", "processes", "runs", "store"},
    "inference": {"compute", "data", "evaluation", "explain", "layers", "modelfile", "runs"},
    "judging": {"compute", "data", "evaluation", "explain", "inference", "layers", "modelfile"},
    "jobs": {
        "compute", "data", "diagram", "evaluation", "explain", "inference", "judging", "layers", "lessons", "modelfile",
        "models", "pages", "processes", "runs", "store", "summary", "training",
    },
    "cli": {
        "cluster", "compute", "data", "diagram", "evaluation", "inference", "jobs", "judging", "layers", "lessons",
        "modelfile", "models", "pages", "processes", "runs", "store", "summary", "training",
    },
    "__main__": {"cli"},
}  # fmt: skip
TORCHLESS = (
    "cluster/", "pages/", "runs/", "reference/", "evaluation/", "data/sources/", "data/pixels/", "data/checks/",
    "data/examples/",
)  # fmt: skip
NO_TORCH = [
    name
    for name in TREES
    if (name.startswith(TORCHLESS) and name not in {"evaluation/infer.py", "evaluation/features.py"})
    or name in {f"data/{file}.py" for file in ("index", "parallel", "splits")}
    or name in {
        "training/__init__.py", "training/recipe.py", "models/catalogue.py",
        "models/families.py", "models/options.py", "models/published.py",
        "models/__init__.py", "jobs/__init__.py", "jobs/check.py",
        "arithmetic.py", "codec.py", "errors.py", "events.py", "files.py", "samples.py", "settings.py",
        "data/augment.py", "data/mirrored.py", "training/recipe_text.py", "training/schedules.py",
        "training/settings_table.py", "training/stepping.py",
        "svg.py", "text.py", "__init__.py", "processes/__init__.py", "processes/shares.py", "processes/watching.py",
        *(f"store/{file}.py" for file in ("__init__", "catalogue", "fetch", "scale")),
    }
]  # fmt: skip

FILE_LINES, CLASS_LINES, FUNCTION_LINES, PARAMETERS = 600, 250, 60, 8
# fields of Recipe; everyday options; a family's options: all are checked against what is known
KWARGS_ALLOWED = {
    ("jobs/train.py", "train"), ("jobs/folds.py", "cross_validate"), ("jobs/seeds.py", "train_seeds"),
    ("cli/train.py", "command"), ("cli/plan.py", "command"), ("cli/rate.py", "command"),
    ("jobs/rate.py", "find_rate"), ("models/__init__.py", "create_model"),
    ("training/pretrained.py", "create_model"),
}  # fmt: skip


def room(name: str) -> str:
    """``data/index.py`` → ``data``; ``compute.py`` → ``compute``."""
    return name.partition("/")[0].removesuffix(".py")


def statements(tree: ast.AST, *, typing_too: bool) -> Iterator[ast.AST]:
    """All nodes of a file; without what stands under ``if TYPE_CHECKING`` unless asked for."""
    for node in ast.iter_child_nodes(tree):
        if not typing_too and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from statements(node, typing_too=typing_too)


def imports(tree: ast.AST, *, typing_too: bool = True) -> set[str]:
    """Dotted names of all that a file imports, wherever in the file it does so."""
    found: set[str] = set()
    for node in statements(tree, typing_too=typing_too):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            # ``from mirada import explain`` imports the room explain; a dotted module says it by itself.
            dotted = node.module or ""
            found |= {f"mirada.{a.name}" for a in node.names} if dotted == "mirada" else {dotted}
    return found


def functions(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def calls(tree: ast.AST) -> set[str]:
    """What is called, as it is written: ``print``, ``sys.exit``."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def outside(folder: str) -> list[str]:
    return [name for name in TREES if room(name) != folder]


def test_every_room_has_its_rule() -> None:
    assert {room(name) for name in TREES} - {"__init__"} == MAY_IMPORT.keys()


@pytest.mark.parametrize("name", [name for name in TREES if name != "__init__.py"])
def test_rooms_import_only_what_they_may(name: str) -> None:
    own = room(name)
    imported = {dotted.split(".")[1] for dotted in imports(TREES[name]) if dotted.startswith("mirada.")}
    assert imported - {own, *LEAVES} <= MAY_IMPORT[own]


def test_the_package_itself_imports_nothing_of_its_own() -> None:
    """Its names are loaded when they are first used; only type checkers see imports."""
    assert not {n for n in imports(TREES["__init__.py"], typing_too=False) if n.startswith("mirada")}


def test_nobody_imports_the_command_line() -> None:
    users = {name for name in outside("cli") if any(n.startswith("mirada.cli") for n in imports(TREES[name]))}
    assert users == {"__main__.py"}


@pytest.mark.parametrize("name", NO_TORCH)
def test_no_torch_where_it_is_not_needed(name: str) -> None:
    packages = {dotted.partition(".")[0] for dotted in imports(TREES[name], typing_too=False)}
    assert not packages & {"torch", "safetensors"}


CONNECTIONS = (
    "urllib.request",
    "http.client",
    "socket",
    "ssl",
    "ftplib",
    "requests",
    "urllib3",
    "httpx",
    "aiohttp",
)


def test_only_one_module_opens_connections_and_only_one_verb_reaches_it() -> None:
    """``urllib.parse`` reads addresses and opens nothing."""
    openers = {name for name, tree in TREES.items() if any(n.startswith(CONNECTIONS) for n in imports(tree))}
    assert openers == {"store/fetch.py"}
    users = {name for name, tree in TREES.items() if "mirada.store.fetch" in imports(tree)}
    assert users == {"cli/weights.py"}
    verbs = [f.name for f in functions(TREES["cli/weights.py"]) if "mirada.store.fetch" in imports(f)]
    assert verbs == ["get"]


def test_no_torch_by_way_of_others() -> None:
    """The files above, loaded all together in a fresh interpreter, and the command line beside them."""
    modules = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in NO_TORCH]
    lines = [f"import mirada.{module}" for module in modules if module != "__init__"]
    run_python("\n".join([*lines, "import mirada.cli", "import sys", "assert 'torch' not in sys.modules"]))


def test_files_are_short() -> None:
    long = {
        name: count
        for name, file in zip(TREES, FILES, strict=True)
        if (count := len(file.read_text(encoding="utf-8").splitlines())) > FILE_LINES
    }
    assert not long


def test_classes_are_short() -> None:
    long = {
        (name, node.name): length
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > CLASS_LINES
    }
    assert not long


def test_functions_are_short() -> None:
    long = {
        (name, function.name): length
        for name, tree in TREES.items()
        for function in functions(tree)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    }
    assert not long


def test_functions_take_few_arguments() -> None:
    """Command-line options are arguments to click, and a family's options to its builder: both are let off."""
    many = {}
    for name in outside("cli"):
        for function in functions(TREES[name]):
            if name == f"models/{function.name}.py":
                continue
            arguments = function.args
            names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            taken = [each for each in names if each not in ("self", "cls")]
            if len(taken) > PARAMETERS:
                many[name, function.name] = len(taken)
    assert not many


def test_no_keyword_soup() -> None:
    takers = {
        (name, function.name)
        for name, tree in TREES.items()
        for function in functions(tree)
        if function.args.kwarg
    }
    assert takers == KWARGS_ALLOWED


def test_only_the_command_line_prints_and_exits() -> None:
    for name in outside("cli"):
        if name != "__main__.py":
            loud = calls(TREES[name]) & {"print", "sys.exit", "exit", "quit", "os._exit", "breakpoint"}
            assert not loud, name


def writes(call: ast.Call) -> bool:
    """Whether a call writes a file from its beginning, and not a draft of ``files.replacing``."""
    if not isinstance(call.func, ast.Attribute) or ast.unparse(call.func.value) == "draft":
        return False
    modes = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    return call.func.attr in ("write_text", "write_bytes") or (
        call.func.attr == "open" and any(str(mode).startswith(("w", "x")) for mode in modes)
    )


def test_files_are_written_in_one_place() -> None:
    """Whole or not at all. Samples are written into a folder that is renamed as a whole, a cache has its own draft."""
    writers = {
        name
        for name, tree in TREES.items()
        if not name.startswith("data/examples/")
        and any(isinstance(node, ast.Call) and writes(node) for node in ast.walk(tree))
    }
    assert writers == {"data/cache.py"}


def test_no_bare_except_and_no_assert() -> None:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            bare = isinstance(node, ast.ExceptHandler) and node.type is None
            assert not bare, f"{name}:{getattr(node, 'lineno', 0)}: except without a name"
            assert not isinstance(node, ast.Assert), f"{name}:{getattr(node, 'lineno', 0)}: assert"


def test_every_folder_says_what_it_is() -> None:
    for folder in {file.parent for file in FILES}:
        name = (folder / "__init__.py").relative_to(SRC).as_posix()
        assert ast.get_docstring(TREES[name]), name


def run_python(code: str) -> str:
    """Runs code in a fresh interpreter and returns what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Rules of the nouns ------------------------------------------------------------------------------------------------

TASKS = {"classification", "regression"}
ANY_DICT = re.compile(r"\b(dict|Mapping)\[str, Any\]")


def named(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in TASKS


@pytest.mark.parametrize("name", [name for name in TREES if name != "samples.py"])
def test_no_room_compares_the_name_of_a_task(name: str) -> None:
    """What differs by task is a method of the target, or one ``match`` on it."""
    compared = [
        ast.unparse(node)
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Compare) and any(map(named, (node.left, *node.comparators)))
    ]
    assert not compared


def test_no_two_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = {}
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name.lstrip("_"), []).append(name)
    assert not {kind: files for kind, files in homes.items() if len(files) > 1}


@pytest.mark.parametrize("name", [name for name in TREES if name != "codec.py"])
def test_no_dictionary_of_anything_in_a_public_signature(name: str) -> None:
    loose = []
    for function in functions(TREES[name]):
        if function.name.startswith("_"):
            continue
        arguments = (*function.args.args, *function.args.kwonlyargs)
        annotations = [argument.annotation for argument in arguments] + [function.returns]
        if any(ANY_DICT.search(ast.unparse(each)) for each in annotations if each):
            loose.append(function.name)
    assert not loose


def test_no_circles_within_rooms_either() -> None:
    """Imports for types alone count as well."""
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in TREES}
    graph = {name: needed(tree, modules) - {name} for name, tree in TREES.items() if name != "__init__.py"}
    while free := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in free:
            del graph[name]
    assert not graph  # who is left needs each other


def needed(tree: ast.AST, modules: dict[str, str]) -> set[str]:
    """The files of the package that a file imports; of ``from mirada.data import x`` the file of x, if it is one."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mirada"):
            base = str(node.module).removeprefix("mirada").removeprefix(".")
            for alias in node.names:
                dotted = f"{base}.{alias.name}".removeprefix(".")
                home = modules.get(dotted) or modules.get(base)
                if home:
                    found.add(home)
    return found


def test_no_docstring_leans_on_the_one_before() -> None:
    leaning = [
        (name, node.name)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and (ast.get_docstring(node) or "").startswith("The same")
    ]
    assert not leaning
