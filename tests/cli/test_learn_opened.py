"""``mirada learn MODEL IMAGE``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Cli = Callable[..., Any]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(file)
    return file


def test_a_network_is_opened_on_a_photo(cli: Cli, trained: Callable[[str], Path], photo: Path) -> None:
    output = photo.parent / "page.html"
    code, out, err = cli("learn", trained("lenet5"), photo, "--output", output, "--language", "es")
    assert code == 0 and err == ""
    assert out == f"{output}: 13 steps, 11,292 of 11,292 numbers forwards, and as many backwards\n"
    page = output.read_text(encoding="utf-8")
    assert '<html lang="es">' in page and "lenet5, abierta con photo.png" in page
    code, out, err = cli("learn", trained("lenet5"), photo, "--output", output)
    assert code == 0 and "page-2.html" in out and "is not overwritten" in err


def test_a_lesson_takes_the_folder_of_a_run(cli: Cli, trained: Callable[[str], Path], tmp_path: Path) -> None:
    folder = trained("lenet5").parent
    page = tmp_path / "page.html"
    assert cli("learn", "receptive-field", "--model", folder, "--output", page).code == 0 and page.is_file()


def test_what_does_not_go_together(cli: Cli, trained: Callable[[str], Path], photo: Path) -> None:
    model = trained("lenet5")
    assert cli("learn", model).err.startswith("Error: Which IMAGE is")
    assert cli("learn", model, photo, "--all", photo.parent / "all").code == 2
    assert "go with MODEL IMAGE" in cli("learn", "gradients", "--class", "circle").err
    assert "does not exist" in cli("learn", model, "nowhere.png").err
    assert 'no class "zebra"' in cli("learn", model, photo, "--class", "zebra").err
    assert not (photo.parent / "opened.html").exists()
