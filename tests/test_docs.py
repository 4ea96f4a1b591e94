"""What the pages name is there: rooms and what they may import, modules, files, verbs, options, settings, networks."""

import ast
import re
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import click
import pytest

import mirada
from mirada.cli import VERBS
from mirada.evaluation.metric_table import METRICS
from mirada.models import CATALOGUE, facts
from mirada.store.catalogue import public_weights
from mirada.training.recipe import Recipe

ROOT = Path(__file__).parents[1]
SRC = Path(mirada.__file__).parent
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
HOUSE = PAGES["docs/architecture.md"]
# Names in code spans that are no module's: files of a run or of the user, by their endings.
ENDINGS = (
    "csv", "dcm", "gz", "html", "jpg", "json", "jsonl", "npz", "png", "py", "safetensors", "svg", "th", "toml", "tsv",
    "txt",
)  # fmt: skip


def spans(text: str) -> list[str]:
    """What stands in single backticks, outside of code blocks."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", prose)


def commands(text: str) -> list[str]:
    """Command lines that begin with ``mirada``, of blocks and of code spans."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in (*lines, *spans(text)) if re.match(r"mirada [a-z]", line)]


def names_of_the_source() -> set[str]:
    """Everything that is defined in the package: modules, classes, functions, fields, attributes and arguments."""
    found = {part for file in SRC.rglob("*.py") for part in file.relative_to(SRC).with_suffix("").parts}
    for file in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                    found.add(name)
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    found.add(name)
    return found


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module's, or what one of its classes has, in the package or in its room data."""
    for home in ("mirada", "mirada.data"):
        try:
            resolve_name(f"{home}.{dotted.removeprefix('mirada.')}")
        except (ImportError, AttributeError):
            continue
        return True
    kind, _, name = dotted.partition(".")
    return any(kind in vars(module) and has(vars(module)[kind], name) for module in loaded())


def has(kind: object, dotted: str) -> bool:
    """A field, method or property of a class; of a field's own attributes the first is enough."""
    name = dotted.partition(".")[0]
    return hasattr(kind, name) or name in getattr(kind, "__dataclass_fields__", {})


def loaded() -> list[object]:
    """All modules of the package but those of the command line."""
    names = [file.relative_to(SRC).with_suffix("").as_posix().replace("/", ".") for file in SRC.rglob("*.py")]
    return [
        import_module(f"mirada.{name}".removesuffix(".__init__"))
        for name in names
        if not name.startswith(("cli", "__main__"))
    ]


def test_the_table_of_rooms_is_the_rule() -> None:
    sys.path.insert(0, str(ROOT / "tests" / "contracts"))
    try:
        rules = import_module("test_structure")
    finally:
        sys.path.pop(0)
    section = HOUSE.partition("## Rooms")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([^|]*) \|$", section, flags=re.MULTILINE)
    table = {room: set(spans(cell)) for room, cell in rows}
    assert table == rules.MAY_IMPORT
    order = list(table)
    for room, imported in table.items():
        assert all(order.index(other) < order.index(room) for other in imported), room
    leaves = re.search(r"the leaves (.*?) are everybody's", section, flags=re.DOTALL)
    assert leaves and set(spans(leaves[1].replace("\n", " "))) == rules.LEAVES


def test_the_page_of_evaluation_has_every_metric() -> None:
    rows = re.findall(
        r"^\| (`.*?`) \| .*? \| (\S+) \| .*? \|$", PAGES["docs/evaluation.md"], flags=re.MULTILINE
    )
    words = {"high": "high", "low": "low", "–": "neither"}
    listed = {key: words[better] for keys, better in rows for key in spans(keys)}
    assert listed == {key: metric.better for key, metric in METRICS.items()}


@pytest.mark.parametrize("page", PAGES)
def test_dotted_names_exist(page: str) -> None:
    dotted = [
        span.partition("(")[0]
        for span in spans(PAGES[page])
        if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+(\(.*)?", span)
        and span.rpartition(".")[2] not in ENDINGS
    ]
    first = {*Recipe.__dataclass_fields__, *CATALOGUE}  # as in options.head, and in resnet50.tv_in1k
    weights = {each.name for each in public_weights()}
    unknown = [name for name in dotted if name.partition(".")[0] not in first and not exists(name)]
    assert not unknown
    assert not [name for name in dotted if name.partition(".")[0] in CATALOGUE and name not in weights]


@pytest.mark.parametrize("page", PAGES)
def test_paths_to_source_exist(page: str) -> None:
    """``sources/values.py``, ``benchmarks/run.sh``: from the root, from the package or from one of its rooms."""
    paths = [span for span in spans(PAGES[page]) if re.fullmatch(r"[\w./-]+\.(py|sh|md|jsonl)", span)]
    own = {"events.jsonl"}  # a run's
    places = (ROOT, SRC, SRC / "data")
    assert not [
        path for path in paths if path not in own and not any((place / path).exists() for place in places)
    ]


def test_single_names_of_the_house_exist() -> None:
    """Names with an underscore or capitals inside, which are no plain words."""
    known = names_of_the_source() | set(CATALOGUE)
    single = {span for span in spans(HOUSE) if re.fullmatch(r"[A-Za-z]+(_[a-z_]+|[a-z]+[A-Z]\w*)", span)}
    assert len(single) > 10
    assert not {name for name in single if name not in known}


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_those_of_the_command_line(page: str) -> None:
    """The verb is one, it has these options, and ``--set`` names settings that its network knows."""
    for line in commands(PAGES[page]):
        outer, _, inner = line.partition(" -- ")  # what is to be done on a cluster is a command as well
        check_command(outer)
        if inner:
            check_command(f"mirada {inner}")


def check_command(line: str) -> None:
    verb, *rest = line.removeprefix("mirada ").split()
    assert verb in VERBS, line
    command = import_module(f"mirada.cli.{verb}").command
    if isinstance(command, click.Group):
        assert not rest or rest[0].strip("`") in command.commands, line
        return
    options = {option for each in command.params for option in each.opts} | {"--help", "--debug"}
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= options, line


@pytest.mark.parametrize("page", PAGES)
def test_options_are_some_verbs(page: str) -> None:
    """``--method grad_cam`` in a code span."""
    verbs = [import_module(f"mirada.cli.{verb}").command for verb in VERBS]
    groups = [verb for verb in verbs if isinstance(verb, click.Group)]
    inner = [command for group in groups for command in group.commands.values()]
    params = [each for command in (*verbs, *inner) for each in command.params]
    options = {option for each in params for option in each.opts} | {"--help", "--debug", "--version"}
    said = {
        word.partition("=")[0]
        for span in spans(PAGES[page])
        for word in span.split()
        if word.startswith("--") and word != "--"
    }
    assert said <= options


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_python_is_called_so(page: str) -> None:
    """Sybil runs it (``conftest.py``); ``pycon`` is copied from docstrings, which run as well; a skip has a reason."""
    assert not re.search(r"<!--+ *;? *skip: *(next|start) *--+>", PAGES[page])
    blocks = re.findall(r"^[ >]*(```|~~~) *(.*)\n((?:.*\n)*?)[ >]*\1 *$", PAGES[page], flags=re.MULTILINE)
    for _, word, text in blocks:
        assert word in ("python", "sh", "console", "text", "pycon", "")
        assert word != "pycon" or page == "docs/reference/api.md"
        assert word in ("python", "pycon") or not re.search(
            r"^ *(>>>|import |from \w+ import )", text, flags=re.MULTILINE
        )


@pytest.mark.parametrize("page", PAGES)
def test_settings_are_taken(page: str) -> None:
    """Every ``--set KEY=VALUE`` of the pages, or an option that some network has."""
    options = {option for name in CATALOGUE for option in facts(name).options}
    for key, value in re.findall(r"--set ([a-z_.0-9]+)=([^\s`)\"]+)", PAGES[page]):
        if key.removeprefix("options.") not in options:
            Recipe().with_settings({key: typed(value)})


def typed(text: str) -> object:
    """As the command line reads a value: a number, true or false, else a word."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
