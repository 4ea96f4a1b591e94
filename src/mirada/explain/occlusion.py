"""Occlusion: by how much the output falls where a patch of the image is covered.

Zeiler & Fergus 2013, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901, §4.2.
"""

from itertools import product

from torch import Tensor

from mirada.explain.class_maps import pick
from mirada.explain.explainable import Choose, Explainable, Found, Meaning, Method, reads_the_image
from mirada.explain.many_passes import answers_to

PATCHES = 8  # side by side along the shorter side of the image; they overlap by half


def _find(explainable: Explainable, images: Tensor, _layer: str, choose: Choose) -> Found:
    """M(x, y) = output(image) − output(covered), mean over the patches that cover (x, y): (N, C, H, W) → (N, H, W).

    A patch is an eighth of the shorter side, and blank: zeros, behind normalisation. The network runs once for every
    patch. What two places say together, such as two eyes of which one is enough, is not seen.
    """
    outputs = explainable.answer(images)
    classes = choose(outputs)
    height, width = images.shape[2:]
    side = max(1, min(height, width) // PATCHES)
    step = max(1, side // 2)
    places = list(product(range(0, height - side + step, step), range(0, width - side + step, step)))

    def covered(number: int) -> Tensor:
        y, x = places[number]
        changed = images.clone()
        changed[:, :, y : y + side, x : x + side] = 0
        return changed

    falls = pick(outputs.float(), classes) - answers_to(explainable, classes, len(places), covered)
    total, times = falls.new_zeros(len(images), height, width), falls.new_zeros(height, width)
    for fall, (y, x) in zip(falls, places, strict=True):
        total[:, y : y + side, x : x + side] += fall[:, None, None]
        times[y : y + side, x : x + side] += 1
    return Found(total / times, outputs, classes, None)


OCCLUSION = Method(
    key="occlusion",
    title="occlusion",
    source="Zeiler & Fergus 2013, arXiv:1311.2901, §4.2",
    find=_find,
    meaning=Meaning.EFFECT,
    of_image=True,
    refusal=reads_the_image("Occlusion"),
)
