"""The inception modules: against published counts and a count of their tensors by PyTorch."""

import re
from collections.abc import Callable

import pytest
from lesson_pages import page_of
from torch import nn

from mirada.lessons import Material
from mirada.lessons.inception import PRESETS, ModuleWidths, count_modules, factored, lesson
from mirada.pages.lessons.inception import named


def counts_of(page: str) -> dict[str, int]:
    """Every count of the page by name."""
    body = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    found = re.findall(r'data-count="([^"]+)"[^>]*>([^<]*)<', body)
    return {name: int(re.sub(r"\D", "", text)) for name, text in found}


def test_the_counts_are_the_published_ones() -> None:
    """Szegedy et al., Table 1: 159K and 128M for 3a. Fig. 16: 854 million."""
    googlenet, slide = lesson(Material()).modules
    assert googlenet.bottleneck.parameters == 163_696
    assert round(googlenet.bottleneck.macs / 1e6) == 128
    assert (googlenet.bottleneck.maps, googlenet.naive.maps) == (256, 416)
    assert (slide.naive.macs, slide.naive.maps) == (854_196_224, 672)
    assert (slide.bottleneck.macs, slide.bottleneck.maps) == (271_351_808, 480)


def test_the_branches_are_what_pytorchs_layers_hold() -> None:
    widths = ModuleWidths(20, 9, one=3, reduce3=4, three=5, reduce5=2, five=7, project=6)
    found = count_modules("tried", widths)
    layers = {
        "1x1": [nn.Conv2d(20, 3, 1)], "3x3": [nn.Conv2d(20, 4, 1), nn.Conv2d(4, 5, 3)],
        "5x5": [nn.Conv2d(20, 2, 1), nn.Conv2d(2, 7, 5)], "pool": [nn.Conv2d(20, 6, 1)],
    }  # fmt: skip
    for branch in found.bottleneck.branches:
        held = [parameter for layer in layers[branch.name] for parameter in layer.parameters()]
        assert branch.parameters == sum(each.numel() for each in held)
        assert branch.macs == 81 * sum(each.numel() for each in held if each.ndim > 1)
    assert {branch.name: branch.parameters for branch in found.naive.branches}["pool"] == 0


@pytest.mark.parametrize("channels", [1, 64])
def test_two_small_windows_see_what_a_large_one_sees(channels: int) -> None:
    found = factored(channels)
    assert (found.five, found.two_threes, found.field) == (25 * channels**2, 18 * channels**2, (5, 5))


CHOSEN = "document.querySelector('[data-preset=slide]').click();"


def test_the_page_counts_the_same(browsed: Callable[..., str]) -> None:
    googlenet, slide = lesson(Material()).modules
    page = page_of("inception", "es")
    for shown, modules in ((page, googlenet), (browsed(page), googlenet), (browsed(page, CHOSEN), slide)):
        expected = {**named("naive", modules.naive), **named("bottleneck", modules.bottleneck)}
        found = counts_of(shown)
        assert {name: found[name] for name in expected} == expected
        assert found["five"] == 25 * 64**2 and found["two"] == 18 * 64**2
    assert set(PRESETS) == {"googlenet_3a", "slide"}
