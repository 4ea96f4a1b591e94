"""Writes the tables of networks, docs/networks.md and the one in the README, from the catalogue.

Run it as ``python docs/make_networks.py`` where Mirada is installed; a test says when that was forgotten.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from mirada.models import CATALOGUE
from mirada.models.published import Published, read_published

ROOT = Path(__file__).parents[1]
COMMAND = "python docs/make_networks.py"
HEADLINERS = (
    "lenet5_1998", "alexnet", "overfeat_fast", "vgg16", "googlenet", "inception_v3", "inception_v4",
    "inception_resnet_v2", "resnet50", "resnet152", "densenet121", "simplecnn", "bonet",
)  # fmt: skip
SECTION = re.compile(r"(?<=<!-- networks -->\n).*?(?=<!-- /networks -->)", flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """What each file must hold."""
    readme = ROOT / "README.md"
    return {
        ROOT / "docs" / "networks.md": all_networks(),
        readme: SECTION.sub(lambda _: headline_networks(), readme.read_text(encoding="utf-8"), count=1),
    }


def all_networks() -> str:
    """The page of all networks: counts from the catalogue, accuracies with the places they were published at."""
    published = read_published()
    notes = list(dict.fromkeys(note(figure) for figure in published.values()))
    rows = []
    for name, entry in CATALOGUE.items():
        figure = published.get(name)
        accuracy = ["–", "–", ""]
        if figure:
            top5 = "–" if figure.top5 is None else percent(figure.top5)
            accuracy = [percent(figure.top1), top5, f"[{notes.index(note(figure)) + 1}](#accuracies)"]
        counts = [f"{entry.parameters:,}", f"{entry.macs:,}"]
        rows.append(
            [f"`{name}`", entry.source, times(entry.image), f"{entry.num_classes:,}", *counts, *accuracy]
        )
    header = ["network", "source", "input", "outputs", "parameters", "MACs", "top-1", "top-5", "from"]
    return "\n".join(
        [
            f"<!-- Written by `{COMMAND}` from the catalogue; run it again after a change there. -->",
            "",
            "# Networks",
            "",
            f"All {len(CATALOGUE)} networks, by the names that `create_model` and the command line take. Parameters",
            "are the trainable ones; MACs are multiply-adds for one image of convolutions and dense layers, biases",
            "excluded. A test holds both against every built network.",
            "",
            *table(header, rows, right=range(3, 8)),
            "",
            "## Accuracies",
            "",
            "Others measured these; Mirada did not. What was shown to a network matters: 1 crop and 10 crops are not",
            "comparable.",
            "",
            *(f"{number}. {text}." for number, text in enumerate(notes, start=1)),
            "",
        ]
    )


def headline_networks() -> str:
    """The README's table: one or two networks of each family."""
    published = read_published()
    rows = []
    for name in HEADLINERS:
        entry, figure = CATALOGUE[name], published.get(name)
        told = [f"{figure.top1:.2f} %", f"{figure.dataset}, {source(figure)}"] if figure else ["–", ""]
        counts = [f"{entry.parameters:,}", f"{entry.macs / 1e6:,.1f} M"]
        rows.append([f"`{name}`", times(entry.image), *counts, *told])
    header = ["network", "input", "parameters", "MACs", "published top-1", "on, by"]
    rest = f"All {len(CATALOGUE)}, with every source: [docs/networks.md](docs/networks.md)."
    return "\n".join([*table(header, rows, right=range(2, 5)), "", rest, ""])


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: range) -> list[str]:
    """Lines of Markdown; the columns in ``right`` are numbers."""
    rule = ["--:" if column in right else "---" for column in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def note(figure: Published) -> str:
    """What was measured, and where it stands."""
    return f"{figure.dataset}, {figure.measured}: {figure.reference}"


def source(figure: Published) -> str:
    """The first words of a source: who, without where."""
    return figure.source.partition(",")[0]


def percent(value: float) -> str:
    """At least one decimal, and as many as were published."""
    return f"{value:.3f}".rstrip("0").ljust(len(f"{value:.1f}"), "0") + " %"


def times(sizes: Sequence[int]) -> str:
    """Sizes as text."""
    return "×".join(map(str, sizes))


def main() -> None:
    """Writes the files."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
