"""Small model files, and what a forger makes of them."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import torch

from mirada.data.pixels.preprocessing import Preprocessing
from mirada.evaluation.conformal import Conformal
from mirada.modelfile import Architecture, Card, save_model
from mirada.samples import Classes, Covariate, Numbers, Scaling

FORMAT_2 = Path(__file__).parent / "modelfiles"  # written by commit 0d8f25f, with what its networks put out
GREY = Preprocessing(mode="L", size=(16, 16), mean=(0.3,), std=(0.2,))
COLOUR = Preprocessing(size=(32, 32), policy="pad", mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
LENET = Card(
    architecture=Architecture(model="lenet5", outputs=3, in_channels=1, image_size=(16, 16)),
    target=Classes(("añil", "b", "c")),
    preprocessing=GREY,
    recipe={"epochs": 2, "augment": {"zoom": 0.1}},
    provenance={"mirada": "0.1.0", "counts": {"train": {"b": 3}}},
)
NUMBER = Card(
    architecture=Architecture(model="resnet18", outputs=1, in_channels=3, image_size=(32, 32)),
    target=Numbers(unit="months"), target_scaling=Scaling((120.5,), (41.25,)), preprocessing=COLOUR,
)  # fmt: skip
SEVERAL = Card(
    architecture=Architecture(model="lenet5", outputs=2, in_channels=1, image_size=(16, 16), covariates=2),
    target=Numbers(("height", "girth"), "cm"), target_scaling=Scaling((120.5, 60.0), (41.25, 9.5)),
    covariates=(Covariate("male", binary=True), Covariate("kg")),
    covariate_scaling=Scaling((0.5, 30.25), (0.5, 12.0)),
    preprocessing=replace(GREY, depth=16, window="1%..99%"),
    conformal=Conformal(0.9, (3.5, 2.0), 40),
)  # fmt: skip


def written(file: Path, card: Card) -> torch.nn.Module:
    torch.manual_seed(5)
    network = card.architecture.build()
    for name, value in network.named_buffers():  # running statistics travel, too
        if name.endswith("running_mean"):
            value.uniform_(-1, 1)
    save_model(file, network, card)
    return network.eval()


def rewritten(data: bytes, *, header: dict[str, object] | None = None, card: object = None) -> bytes:
    """A model file with parts of its header exchanged and the digest put right, as a forger would do."""
    length = int.from_bytes(data[:8], "little")
    whole = json.loads(data[8 : 8 + length])
    whole.update(header or {})
    metadata = whole["__metadata__"]
    if card is not None:
        metadata["mirada"] = card if isinstance(card, str) else json.dumps(card)
    metadata["digest"] = "0" * 64
    text = json.dumps(whole, separators=(",", ":")).encode()
    blank = len(text).to_bytes(8, "little") + text + data[8 + length :]
    return blank.replace(b'"digest":"' + b"0" * 64, b'"digest":"' + sha256(blank).hexdigest().encode())


def described(data: bytes) -> dict[str, object]:
    length = int.from_bytes(data[:8], "little")
    found: dict[str, object] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["mirada"])
    return found
