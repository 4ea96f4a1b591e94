"""The inception module: naive and with bottlenecks, and a 5×5 as two 3×3, counted by ``mirada.summary``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mirada.lessons import Material

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModuleWidths:
    """A module's maps: what comes in, what each branch puts out, and to how many its bottlenecks narrow first."""

    channels: int
    side: int
    one: int
    reduce3: int
    three: int
    reduce5: int
    five: int
    project: int


@dataclass(frozen=True)
class BranchCounts:
    """What one branch costs.

    Args:
        name: ``1x1``, ``3x3``, ``5x5`` or ``pool``.
        parameters: with biases.
        macs: multiply-adds for one image.
    """

    name: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class ModuleCounts:
    """What a module costs, and how many maps its branches put out together."""

    branches: tuple[BranchCounts, ...]
    maps: int

    @property
    def parameters(self) -> int:
        """Of all branches."""
        return sum(branch.parameters for branch in self.branches)

    @property
    def macs(self) -> int:
        """Of all branches."""
        return sum(branch.macs for branch in self.branches)


@dataclass(frozen=True)
class Modules:
    """A module without bottlenecks and with them, of equal widths."""

    name: str
    widths: ModuleWidths
    naive: ModuleCounts
    bottleneck: ModuleCounts


@dataclass(frozen=True)
class Factored:
    """One 5×5 against two 3×3, C maps throughout, without biases.

    Args:
        channels: C.
        five: weights of the 5×5, 25 C².
        two_threes: weights of both 3×3, 18 C².
        field: what a place sees of either, pixels a side.
    """

    channels: int
    five: int
    two_threes: int
    field: tuple[int, int]


@dataclass(frozen=True)
class InceptionLesson:
    """All that the page shows."""

    modules: tuple[Modules, ...]
    factored: Factored


# GoogLeNet's 3a (Szegedy et al. 2014, Table 1), and the module of the notes' Fig. 16.
PRESETS = {
    "googlenet_3a": ModuleWidths(192, 28, one=64, reduce3=96, three=128, reduce5=16, five=32, project=32),
    "slide": ModuleWidths(256, 28, one=128, reduce3=64, three=192, reduce5=64, five=96, project=64),
}
MAPS = 64  # C of the two stacks


def lesson(material: Material) -> InceptionLesson:
    """GoogLeNet's first module, the one of the slide, and the factored 5×5."""
    return InceptionLesson(tuple(count_modules(name, each) for name, each in PRESETS.items()), factored(MAPS))


def count_modules(name: str, widths: ModuleWidths) -> Modules:
    """Both kinds of module, as ``mirada.models`` builds them. Source: lecture notes §3.5, Figs. 16 and 17."""
    from mirada.layers.blocks import ConvStyle
    from mirada.models.googlenet import Widths, inception_module, naive_module

    given = asdict(widths)
    channels, side = given.pop("channels"), given.pop("side")
    conv = ConvStyle(batch_norm=False)
    naive = naive_module(conv, channels, one=widths.one, three=widths.three, five=widths.five)
    narrow = Widths(**given)
    bottleneck = inception_module(conv, channels, widths=narrow)
    return Modules(
        name,
        widths,
        _counted(naive, (channels, side, side), widths.one + widths.three + widths.five + channels),
        _counted(bottleneck, (channels, side, side), narrow.out),
    )


def factored(channels: int) -> Factored:
    """A 5×5 and two 3×3 on C maps. Source: Szegedy et al. 2015, arXiv:1512.00567, §3.1; lecture notes, Fig. 18."""
    from torch import nn

    from mirada.summary import summarize

    def conv(kernel: int) -> nn.Conv2d:
        return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)

    one = summarize(nn.Sequential(conv(5)), (channels, 28, 28))
    two = summarize(nn.Sequential(conv(3), conv(3)), (channels, 28, 28))
    fields = [summary.rows[-1].receptive_field for summary in (one, two)]
    sides = [int(field[0]) for field in fields if field is not None]
    return Factored(channels, one.parameters, two.parameters, (sides[0], sides[1]))


def _counted(module: nn.Module, shape: tuple[int, int, int], maps: int) -> ModuleCounts:
    from mirada.summary import summarize

    rows = summarize(module, shape).rows
    names = dict.fromkeys(row.name.partition(".")[0] for row in rows)
    return ModuleCounts(
        tuple(
            BranchCounts(
                name,
                sum(row.parameters for row in rows if row.name.partition(".")[0] == name),
                sum(row.macs for row in rows if row.name.partition(".")[0] == name),
            )
            for name in names
        ),
        maps,
    )
