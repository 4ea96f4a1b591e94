"""``rate``: what it says, and what it leaves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_the_command_line(cli: Callable[..., Any], shapes: Path) -> None:
    """Nothing but the page is left behind, and the page has both rates."""
    code, out, err = cli("rate", shapes, "--model", "lenet5", "--image-size", 32, "--device", "cpu")
    assert code == 0, err
    said, file = out.splitlines()[-2:]
    assert file == "rate.html" and "the recipe has 0.002." in said
    page = Path("rate.html").read_text(encoding="utf-8")
    assert "recipe: 0.002" in page and "10⁻⁷" in page and page.count('<path class="line') == 2
    assert [path.name for path in Path().iterdir()] == ["rate.html"]
