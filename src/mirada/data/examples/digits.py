"""A sample of real images: handwritten digits of 8 × 8 pixels."""

from pathlib import Path

import numpy as np
from PIL import Image

from mirada.data.examples.staging import all_or_nothing, save, tell
from mirada.events import OnProgress

DIGITS_README = """\
Handwritten digits, 8 x 8 pixels, 10 classes.

Source:  Alpaydin, E. and Kaynak, C. (1998). Optical Recognition of Handwritten Digits.
         UCI Machine Learning Repository, https://doi.org/10.24432/C50P49
         The 1,797 images of its test part, as scikit-learn ships them (sklearn.datasets.load_digits).
Licence: CC BY 4.0, https://creativecommons.org/licenses/by/4.0/

A pixel counts the inked dots of a 4 x 4 block of the scanned 32 x 32 bitmap; the counts 0 to 16 are scaled to
0 to 255 here. The number in a file name is the row in scikit-learn's set. One fifth of every class, drawn at
random with a fixed seed, is in test/. The same 13 people wrote the digits of train/ and of test/: accuracy on
test/ does not tell how well the handwriting of other people is read.
"""


def write_digits(folder: str | Path, *, on_event: OnProgress | None = None) -> int:
    """Writes 1,797 real handwritten digits as ``{train,test}/<0…9>/<row>.png``, 8 × 8 pixels, 8-bit grey.

    The test split holds 20 % of every class. Raises ``DataError`` if the folder is not empty or cannot be
    written. Source: Alpaydin & Kaynak 1998, UCI optical recognition of handwritten digits, CC BY 4.0.
    """
    from sklearn.datasets import load_digits  # slow to import, and needed here only
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    rows = np.arange(len(pixels))
    _, held_out = train_test_split(rows, test_size=0.2, stratify=digits.target, random_state=0)
    in_test = np.isin(rows, held_out)
    with all_or_nothing(folder) as staging:
        for row in range(len(rows)):
            split = "test" if in_test[row] else "train"
            save(Image.fromarray(pixels[row]), staging / split / str(digits.target[row]) / f"{row:04}.png")
            tell(on_event, row + 1, len(rows))
        (staging / "README.txt").write_text(DIGITS_README, encoding="utf-8")
    return len(rows)
