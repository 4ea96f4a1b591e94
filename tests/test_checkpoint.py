"""The model file: what goes in comes out, and whatever else is in the file is said in one sentence."""

import json
import os
import pickle
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_file_helpers import COLOUR, FORMAT_2, LENET, NUMBER, SEVERAL, described, rewritten, written
from safetensors.torch import load_file, save_file

from mirada.errors import CheckpointError, InvalidArgument
from mirada.evaluation.threshold import Threshold
from mirada.modelfile import Architecture, Card, load_card, load_network, save_model
from mirada.samples import Classes, Numbers, Scaling

CARDS = {
    "several": SEVERAL,
    "lenet5": LENET,
    "simplecnn-1": Card(
        architecture=Architecture(model="simplecnn", outputs=1, in_channels=3, image_size=(32, 32)),
        target=Classes(("cat", "dog")), preprocessing=COLOUR,
    ),
    "simplecnn-3": Card(
        architecture=Architecture(model="simplecnn", outputs=3, in_channels=3, image_size=(32, 32)),
        target=Classes(("z", "a", "m")), preprocessing=COLOUR,
    ),
    "resnet18": Card(
        architecture=Architecture(model="resnet18", outputs=4, in_channels=3, image_size=(32, 32)),
        target=Classes(("p", "q", "r", "s")), preprocessing=COLOUR,
    ),
    "regression": NUMBER,
}  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small model file."""
    file = tmp_path_factory.mktemp("good") / "m.safetensors"
    written(file, LENET)
    return file.read_bytes()


def complaint(file: Path) -> str:
    """What loading says; it must be a ``CheckpointError`` in one or two sentences that names the file."""
    with pytest.raises(CheckpointError) as caught:
        load_network(file)
    text = str(caught.value)
    assert text.startswith(f"{file}: ") and text.endswith(".") and "\n" not in text and len(text) < 400, text
    with pytest.raises(CheckpointError) as caught:
        load_card(file)
    return text


def altered(data: bytes, **changes: object) -> dict[str, object]:
    """The description of a model file with another architecture."""
    found = described(data)
    architecture = found["architecture"]
    assert isinstance(architecture, dict)
    return {**found, "architecture": {**architecture, **changes}}


def test_only_a_file_with_a_threshold_speaks_of_one(tmp_path: Path) -> None:
    """So that older readers, which refuse a key that they do not know, read all others."""
    threshold = Threshold(
        positive="dog", value=0.3, rule="youden", n=8, positives=4, sensitivity=1.0, specificity=0.5
    )
    plain = next(card for card in CARDS.values() if card.target == Classes(("cat", "dog")))
    card = replace(plain, threshold=threshold)
    written(tmp_path / "m.safetensors", card)
    assert load_card(tmp_path / "m.safetensors").threshold == threshold
    old, new = json.loads(plain.to_json()), json.loads(card.to_json())
    assert "threshold" not in old and new.keys() - old.keys() == {"threshold"}
    assert Card.from_json(json.dumps(old)).threshold is None
    for wrong in ({"value": 2.0}, {"positive": "horse"}, {"value": "high"}, {"more": 1}):
        with pytest.raises(CheckpointError, match="its description cannot be understood"):
            Card.from_json(json.dumps({**new, "threshold": {**new["threshold"], **wrong}}))
    with pytest.raises(InvalidArgument, match='without the class "horse"'):
        replace(plain, threshold=replace(threshold, positive="horse"))


@pytest.mark.parametrize("name", CARDS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    card = CARDS[name]
    network = written(tmp_path / "m.safetensors", card)
    loaded, read = load_network(tmp_path / "m.safetensors")
    assert read == card == load_card(tmp_path / "m.safetensors")
    assert not loaded.training
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    images = torch.rand(
        2, network.in_channels, *network.image_size, generator=torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))


def test_the_file_is_plain_safetensors_with_json(tmp_path: Path) -> None:
    network = written(tmp_path / "m.safetensors", LENET)
    tensors = load_file(tmp_path / "m.safetensors")  # others can read it
    assert {name: tuple(value.shape) for name, value in tensors.items()} == {
        name: tuple(value.shape) for name, value in network.state_dict().items()
    }
    card = described((tmp_path / "m.safetensors").read_bytes())
    assert card["format"] == 3 and card["target"] == {"names": ["añil", "b", "c"]}
    assert card["architecture"]["model"] == "lenet5" and card["task"] == "classification"
    assert card["preprocessing"] == {
        "mode": "L", "size": [16, 16], "policy": "stretch", "depth": 8, "window": "auto", "clahe": 0.0, "mean": [0.3],
        "std": [0.2],
    }  # fmt: skip
    assert card["recipe"] == {"epochs": 2, "augment": {"zoom": 0.1}}


def test_the_size_before_a_crop_is_kept_where_there_is_one(tmp_path: Path) -> None:
    """Files without it stay what they were, and are read."""
    size = LENET.preprocessing.size
    cropped = replace(LENET.preprocessing, policy="crop", resize=max(size) + 3)
    card = replace(LENET, preprocessing=cropped)
    written(tmp_path / "m.safetensors", card)
    assert load_card(tmp_path / "m.safetensors") == card
    assert described((tmp_path / "m.safetensors").read_bytes())["preprocessing"]["resize"] == max(size) + 3


def test_a_digest_like_class_name_survives(tmp_path: Path) -> None:
    card = replace(LENET, target=Classes(("0" * 64, '"digest":"' + "0" * 64 + '"', "\udcff not Unicode")))
    written(tmp_path / "m.safetensors", card)
    assert load_card(tmp_path / "m.safetensors").target == card.target


@pytest.mark.parametrize("pad", range(0, 256, 8))
def test_no_header_length_looks_like_a_pickle(pad: int, tmp_path: Path, good: bytes) -> None:
    """The first byte is the low byte of a length; 0x80 is one of the 32 that it can be."""
    length = int.from_bytes(good[:8], "little")
    head = good[8 : 8 + length].decode().rstrip()
    grown = {**described(good), "provenance": {"note": "x" * pad}}
    (tmp_path / "m.safetensors").write_bytes(rewritten(good, card=grown))
    assert head and load_card(tmp_path / "m.safetensors").provenance == {"note": "x" * pad}


def test_loading_does_not_disturb_the_random_state(tmp_path: Path) -> None:
    written(tmp_path / "m.safetensors", CARDS["resnet18"])
    torch.manual_seed(3)
    np.random.seed(3)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    load_network(tmp_path / "m.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)


def test_every_flipped_bit_is_found(tmp_path: Path, good: bytes) -> None:
    """The whole length, the header's structure and the digest bit by bit; the rest sampled."""
    header = 8 + int.from_bytes(good[:8], "little")
    digest = re.search(rb'"digest":"([0-9a-f]{64})"', good)
    assert digest
    draw = np.random.default_rng(7)
    places = {
        *range(64),
        *(8 * digest.start() + np.arange(0, 600, 3)).tolist(),
        *draw.integers(64, 8 * header, 250).tolist(),
        *draw.integers(8 * header, 8 * len(good), 60).tolist(),
        8 * len(good) - 1,
    }
    file = tmp_path / "m.safetensors"
    for place in sorted(places):
        broken = bytearray(good)
        broken[place // 8] ^= 1 << place % 8
        file.write_bytes(broken)
        with pytest.raises(CheckpointError) as caught:
            load_card(file)
        text = str(caught.value)
        assert text.startswith(f"{file}: ") and text.endswith("."), (place, text)
    assert len(places) > 500


def test_every_truncation_is_found(tmp_path: Path, good: bytes) -> None:
    header = 8 + int.from_bytes(good[:8], "little")
    lengths = {*range(40), *range(40, header, 97), header - 1, header, header + 1, len(good) - 1}
    for length in sorted(lengths):
        (tmp_path / "m.safetensors").write_bytes(good[:length])
        text = complaint(tmp_path / "m.safetensors")
        assert "truncated" in text or "no model file" in text, (length, text)
    (tmp_path / "m.safetensors").write_bytes(good + b"\0")
    assert "digest does not match" in complaint(tmp_path / "m.safetensors")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(max_size=300), length=st.integers(0, 2**64 - 1), lie=st.booleans())
def test_garbage_is_a_checkpoint_error(garbage: bytes, length: int, lie: bool, tmp_path: Path) -> None:
    if lie:
        garbage = length.to_bytes(8, "little") + b"{" + garbage
    (tmp_path / "g").write_bytes(garbage)
    complaint(tmp_path / "g")


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "damaged"), (1, "damaged"), (10**7, "truncated or damaged"), (2**40, "no model file"), (2**64 - 1, "no ")],
)  # fmt: skip
def test_a_header_length_that_lies(length: int, text: str, tmp_path: Path, good: bytes) -> None:
    (tmp_path / "m").write_bytes(length.to_bytes(8, "little") + good[8:])
    assert text in complaint(tmp_path / "m")


@pytest.mark.parametrize(
    "header",
    [
        b"{}x",
        b"{" + b'"a":{' * 5000,
        b'{"__metadata__":7}',
        b'{"__metadata__":{"mirada":{"a":1},"digest":"x"}}',
        b'{"__metadata__":{"mirada":"x","digest":7}}',
        b'{"a":[]}',
        b'{"a":{"data_offsets":[0]}}',
        b'{"a":{"data_offsets":[0,"x"]}}',
        b'{"a":{"data_offsets":[0,-999]}}',
        b'{"\xff":{}}',
    ],
)
def test_a_header_that_makes_no_sense(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "damaged (its header makes no sense)" in complaint(tmp_path / "m")


def test_files_of_others(tmp_path: Path, good: bytes) -> None:
    save_file({"w": torch.ones(3)}, tmp_path / "foreign.safetensors")
    assert "no model file of Mirada's" in complaint(tmp_path / "foreign.safetensors")
    save_file({"w": torch.ones(3)}, tmp_path / "named.safetensors", {"mirada": "{}"})
    assert "no model file of Mirada's" in complaint(tmp_path / "named.safetensors")
    save_file({"w": torch.ones(3)}, tmp_path / "short.safetensors", {"mirada": "{}", "digest": "x"})
    assert "its digest does not match" in complaint(tmp_path / "short.safetensors")
    (tmp_path / "empty").write_bytes(b"")
    assert complaint(tmp_path / "empty").endswith("no model file (it is empty).")
    (tmp_path / "folder").mkdir()
    assert "cannot be read (is a directory)" in complaint(tmp_path / "folder")
    assert "cannot be read (no such file or directory)" in complaint(tmp_path / "missing")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    assert "its 104 bytes do not begin like a .safetensors file" in complaint(tmp_path / "photo.jpg")


class Trap:
    """Opening its pickle would leave a file behind."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.file),)


def test_pickles_and_zips_are_refused_and_not_opened(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(3)}, tmp_path / "new.pt")
    torch.save({"weight": torch.ones(3)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with zipfile.ZipFile(tmp_path / "any.zip", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Trap(tmp_path / "sprung")))
    for name in ("new.pt", "old.pth", "plain.pkl", "any.zip"):
        assert "a pickle or zip file" in complaint(tmp_path / name), name
    assert not (tmp_path / "sprung").exists()


def test_broken_downloads(shared_data: Path) -> None:
    a_tar, a_zip = sorted(
        (shared_data / "broken-checkpoints").iterdir()
    )  # torch.save wrote both, years apart
    assert "its 1,048,576 bytes do not begin like a .safetensors file" in complaint(a_tar)
    assert "a pickle or zip file" in complaint(a_zip)


def test_a_newer_format(tmp_path: Path, good: bytes) -> None:
    newer = {**described(good), "format": 5, "unheard": True}
    (tmp_path / "m").write_bytes(rewritten(good, card=newer))
    assert "written by a newer Mirada (format 5; this one reads 4). Update" in complaint(tmp_path / "m")


@pytest.mark.parametrize(
    "stated", [None, True, 0, -1, 1.5, float("nan"), float("inf"), "3", [], {}, 4, 10**400, 10**4000]
)
def test_a_format_that_is_none(stated: object, tmp_path: Path, good: bytes) -> None:
    """Format 4 is that of several networks, of which this description says nothing."""
    (tmp_path / "m").write_bytes(rewritten(good, card={**described(good), "format": stated}))
    assert "cannot be understood" in complaint(tmp_path / "m") or (isinstance(stated, int) and stated > 4)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": "x"}, "cannot be understood"),
        ({"task": "segmentation"}, "cannot be understood"),
        ({"target": {"names": ["a"]}}, "A Card for classification cannot have 3 outputs, 1 names and None"),
        ({"task": "regression"}, "A Card for regression cannot have 3 outputs, 3 names and None"),
        ({"target": 7}, "cannot be understood"),
        ({"architecture": {"image_size": None}}, "cannot be understood"),
        ({"target": {"names": ["a", "b", "c"], "unheard": 1}}, "unheard"),
        ({"preprocessing": []}, "cannot be understood"),
        (
            {"preprocessing": {"mode": "L", "size": [16, 16], "mean": [0.3], "std": [0.2]}},
            "preprocessing lacks a key, or has one that nobody knows",
        ),
        (
            {"preprocessing": {"mode": "RGB"}},
            "its images become 3 × 224 × 224 values, and its network takes 1 × 16 × 16",
        ),
        ({"preprocessing": {"mode": "CMYK"}}, "preprocessing → mode must be RGB or L. Got 'CMYK'"),
    ],
)
def test_a_description_that_cannot_be_used(
    change: dict[str, object], text: str, tmp_path: Path, good: bytes
) -> None:
    (tmp_path / "m").write_bytes(rewritten(good, card={**described(good), **change}))
    assert text in complaint(tmp_path / "m")


@pytest.mark.parametrize("card", ["[]", "7", "not json", "{}", "[" * 5000])
def test_a_description_that_is_none(card: str, tmp_path: Path, good: bytes) -> None:
    (tmp_path / "m").write_bytes(rewritten(good, card=card))
    assert "its description cannot be understood (" in complaint(tmp_path / "m")


def refused(file: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_network(file)
    return str(caught.value)


def test_weights_that_do_not_fit(tmp_path: Path, good: bytes) -> None:
    other = altered(good, outputs=4) | {"target": {"names": list("abcd")}}
    (tmp_path / "m").write_bytes(rewritten(good, card=other))
    text = (
        f"{tmp_path / 'm'}: the weights do not fit the network lenet5 that the file names. Use another copy."
    )
    assert refused(tmp_path / "m") == text
    length = int.from_bytes(good[:8], "little")
    tensor = json.loads(good[8 : 8 + length])["head.linear.bias"]
    (tmp_path / "m").write_bytes(rewritten(good, header={"head.linear.bias": {**tensor, "dtype": "F63"}}))
    assert refused(tmp_path / "m") == text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"model": "lenet6"}, 'There is no network "lenet6". Did you mean "lenet5"?'),
        ({"image_size": [4, 4]}, "Images of 4 × 4 pixels are too small"),
    ],
)
def test_a_network_that_cannot_be_built(
    change: dict[str, object], text: str, tmp_path: Path, good: bytes
) -> None:
    card = altered(good, **change)
    pixels = card["preprocessing"]
    assert isinstance(pixels, dict)  # made as large as the network takes them
    card["preprocessing"] = {**pixels, "size": change.get("image_size", pixels["size"])}
    (tmp_path / "m").write_bytes(rewritten(good, card=card))
    assert f"{tmp_path / 'm'}: its network cannot be built here. {text}" in refused(tmp_path / "m")


def test_a_card_checks_itself() -> None:
    with pytest.raises(InvalidArgument, match="cannot have 2 outputs, 1 names"):
        replace(NUMBER, architecture=replace(NUMBER.architecture, outputs=2))
    with pytest.raises(InvalidArgument, match="cannot have 1 outputs, 3 names"):
        replace(LENET, architecture=replace(LENET.architecture, outputs=1))


@pytest.mark.parametrize("step", ["write", "fsync", "replace", "interrupt"])
def test_saving_is_all_or_nothing(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "m.safetensors"
    written(file, LENET)
    old = file.read_bytes()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt if step == "interrupt" else OSError(28, "No space left on device")

    if step == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    elif step == "write":
        monkeypatch.setattr(Path, "write_bytes", on_a_full_disk)
    else:
        monkeypatch.setattr("os.fsync", fail)
    expected = KeyboardInterrupt if step == "interrupt" else CheckpointError
    with pytest.raises(expected) as caught:
        save_model(file, LENET.architecture.build(), LENET)
    if step != "interrupt":
        assert str(caught.value) == f"{file}: cannot be written (no space left on device)."
    assert file.read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def on_a_full_disk(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data[: len(data) // 2])
    raise OSError(28, "No space left on device")


def test_writing_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"m: cannot be written \(no such file or directory\)\.$"):
        save_model(tmp_path / "absent" / "m", LENET.architecture.build(), LENET)
    (tmp_path / "m").mkdir()
    with pytest.raises(CheckpointError, match=r"m: cannot be written \(is a directory\)\.$"):
        save_model(tmp_path / "m", LENET.architecture.build(), LENET)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_reading_outputs() -> None:
    raw = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 20
    many = CARDS["resnet18"].read_outputs(raw)
    assert many.dtype == torch.float64
    assert torch.equal(many, torch.softmax(raw.double(), dim=1))
    one = CARDS["simplecnn-1"].read_outputs(raw[:, :1])
    assert torch.allclose(one[:, 1], torch.sigmoid(raw[:, 0].double()), rtol=1e-12, atol=0)
    # one sigmoid unit is a softmax over (0, x)
    pair = torch.softmax(torch.stack((torch.zeros(50), raw[:, 0]), dim=1).double(), dim=1)
    assert torch.allclose(one, pair, rtol=1e-9, atol=1e-12)
    value = NUMBER.read_outputs(raw[:, :1])
    assert torch.equal(value, raw[:, :1].double() * 41.25 + 120.5)


# Several numbers, covariates, calibration -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"), [("classes", replace(LENET, temperature=1.25)), ("numbers", SEVERAL)]
)
def test_format_2_is_still_read(name: str, expected: Card) -> None:
    network, card = load_network(FORMAT_2 / f"format2-{name}.safetensors")
    assert card == expected
    images = torch.linspace(-2, 2, 2 * 256).reshape(2, 1, 16, 16)
    beside = np.array([[1.0, 25.0], [0.0, 40.0]])[:, : len(card.covariates)]
    with torch.no_grad():
        found = card.read_outputs(network(images, card.scale_covariates(beside)))
    np.testing.assert_allclose(found, json.loads((FORMAT_2 / "format2.json").read_text())[name], rtol=1e-6)


def test_format_1_is_still_read(tmp_path: Path) -> None:
    """One target, whose scale was a number, and nothing of what came later."""
    written(tmp_path / "m", NUMBER)
    data = (tmp_path / "m").read_bytes()
    before_windows = {
        "mode": "RGB",
        "size": [32, 32],
        "policy": "pad",
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
    }
    old = {
        "format": 1, "model": "resnet18", "num_classes": 1, "in_channels": 3, "image_size": [32, 32], "options": {},
        "task": "regression", "classes": [], "unit": "months", "target_mean": 120.5, "target_std": 41.25,
        "preprocessing": before_windows, "recipe": {}, "provenance": {},
    }  # fmt: skip
    (tmp_path / "old").write_bytes(rewritten(data, card=old))
    full = replace(NUMBER.preprocessing, window="full")  # 16-bit images were seen by their type's whole range
    assert load_card(tmp_path / "old") == replace(NUMBER, preprocessing=full)


@pytest.mark.parametrize(("head", "now"), [("average", "average_dense"), ("flatten", "flatten")])
@pytest.mark.parametrize("model", ["bonet", "bonet_simple", "vgg16"])
def test_the_older_name_of_bonets_head_of_averages_is_read(
    model: str, head: str, now: str, tmp_path: Path
) -> None:
    """Behind it there was a hidden layer, as behind ``average_dense`` now."""
    written(tmp_path / "m", NUMBER)
    data = (tmp_path / "m").read_bytes()
    old = {
        "format": 2, "model": model, "num_classes": 1, "in_channels": 3, "image_size": [32, 32],
        "options": {"head": head}, "task": "regression", "classes": [], "unit": "", "target_mean": [0.0],
        "target_std": [1.0], "preprocessing": described(data)["preprocessing"], "target_names": [],
        "covariate_names": [], "covariate_mean": [], "covariate_std": [], "temperature": 1.0, "conformal": {},
        "recipe": {}, "provenance": {},
    }  # fmt: skip
    (tmp_path / "old").write_bytes(rewritten(data, card=old))
    read = load_card(tmp_path / "old").architecture.options
    assert read == {"head": now if model.startswith("bonet") else head}


def test_several_outputs_are_read_in_their_own_units() -> None:
    raw = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    assert SEVERAL.read_outputs(raw).tolist() == [[120.5, 60.0], [161.75, 41.0]]


def test_covariates_are_read_in_deviations_from_their_mean() -> None:
    scaled = SEVERAL.scale_covariates(np.array([[1.0, 30.25], [0.0, 54.25]]))
    assert (
        scaled is not None and scaled.dtype == torch.float32 and scaled.tolist() == [[1.0, 0.0], [-1.0, 2.0]]
    )
    assert LENET.scale_covariates(np.empty((2, 0))) is None


def test_the_temperature_divides_the_outputs() -> None:
    raw = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    cool = replace(LENET, temperature=2.0)
    torch.testing.assert_close(cool.read_outputs(raw), (raw / 2).softmax(1))
    second = replace(CARDS["simplecnn-1"], temperature=4.0).read_outputs(raw[:, :1])[:, 1]
    torch.testing.assert_close(second, torch.sigmoid(raw[:, 0] / 4))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"target_scaling": Scaling((1.0,), (1.0,))},
            "A Card for regression cannot have 2 outputs, 2 names and Sc",
        ),
        (
            {"target": Numbers()},
            "A Card for regression cannot have 2 outputs, 1 names and Scaling(mean=(120.5, 60.0)",
        ),
        (
            {"target": Classes(("a", "b"))},
            "A Card for classification cannot have 2 outputs, 2 names and Scaling(",
        ),
        (
            {"covariate_scaling": Scaling((), ())},
            "A Card for a network that reads 2 covariates cannot have 2, and Sc",
        ),
        ({"temperature": 0.0}, "`temperature` of Card must be a number above 0. Got 0.0."),
    ],
)
def test_parts_that_do_not_go_together(change: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        replace(SEVERAL, **change)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("mean", "std"),
    [((1.0,), ()), ((1.0,), (0.0,)), ((float("nan"),), (1.0,)), ((1.0,), (-1.0,))],
)
def test_a_scaling_that_is_none(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(
        InvalidArgument, match=r"^A Scaling needs as many means as standard deviations, all finite"
    ):
        Scaling(mean, std)


WRONG = (
    None, True, -1, 0, 1.5, 10**9, 1e308, float("inf"), "", "x", [], [[]], {}, {"x": 1}, [None], ["x"], [0], [-1, 1],
    [10**6] * 3, "A" * 10**6, [1] * 10**5,
)  # fmt: skip


def places(values: object, trail: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of a description, those of tables in it included."""
    if isinstance(values, dict):
        for key, inner in values.items():
            yield (*trail, key)
            if key not in ("recipe", "provenance"):
                yield from places(inner, (*trail, key))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "several"])
def test_every_wrong_value_of_a_description_is_one_sentence(name: str, tmp_path: Path) -> None:
    """Whatever stands where: it is refused, or read as something that can be used; never an error of another kind."""
    written(tmp_path / "good", CARDS[name])
    good = (tmp_path / "good").read_bytes()
    found = list(places(described(good)))
    assert len(found) > 25
    refused_ones = 0
    for trail in found:
        for wrong in WRONG:
            changed = described(good)
            inner: Any = changed
            for key in trail[:-1]:
                inner = inner[key]
            inner[trail[-1]] = wrong
            (tmp_path / "m").write_bytes(rewritten(good, card=changed))
            try:
                load_network(tmp_path / "m")
            except CheckpointError as error:
                refused_ones += 1
                assert len(str(error)) < 1000 and "\n" not in str(error)
    assert refused_ones > 0.7 * len(found) * len(WRONG)


def test_an_image_that_no_memory_holds_is_refused_before_it_is_taken(tmp_path: Path, good: bytes) -> None:
    size = [10**6, 10**6]
    pixels = described(good)["preprocessing"]
    assert isinstance(pixels, dict)
    card = altered(good, image_size=size) | {"preprocessing": {**pixels, "size": size}}
    (tmp_path / "m").write_bytes(rewritten(good, card=card))
    assert "takes images of 1,000,000 × 1,000,000 pixels, which need more than" in refused(tmp_path / "m")


def test_a_description_beyond_all_measure_is_not_read(tmp_path: Path, good: bytes) -> None:
    card = described(good) | {"provenance": {"x": "y" * (33 * 2**20)}}
    (tmp_path / "m").write_bytes(rewritten(good, card=card))
    assert "its description cannot be understood (it has 34," in refused(tmp_path / "m")
