"""Model files that were cut, altered or forged: refused in a sentence, or they answer to the last bit as before."""

import json
import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_file_helpers import FORMAT_2, LENET, SEVERAL, described, rewritten, written
from safetensors.torch import load, save
from torch import Tensor

from mirada.cli import run
from mirada.data.examples.shapes import write_shapes
from mirada.errors import CheckpointError, InvalidArgument
from mirada.inference.model import load_model
from mirada.modelfile import load_card, save_ensemble
from mirada.models import create_model, load_weights
from mirada.models.digest import BLANK_DIGEST, DIGEST_KEY, with_digest

Answer = tuple[np.ndarray[Any, Any], ...]
SEEDS = range(200)
LAST = "head.linear.bias"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of whole model files: of this format, of several networks, of the format before."""
    folder = tmp_path_factory.mktemp("whole")
    for name, card in {"classes": LENET, "numbers": SEVERAL}.items():
        written(folder / name, card)
    save_ensemble(folder / "ensemble", [folder / "classes"] * 2)
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    return found | {
        f"format2-{name}": (FORMAT_2 / f"format2-{name}.safetensors").read_bytes()
        for name in ("classes", "numbers")
    }


def answers(file: Path) -> Answer:
    """What a model file says of two images: its answers, and the intervals that it promises."""
    model = load_model(file, device="cpu")
    pixels = np.linspace(0, 255, 2 * 20 * 20).reshape(2, 20, 20).astype(np.uint8)
    known = dict.fromkeys(model.card.covariate_names, 1.0)
    found = model.predict(list(pixels), known=known)
    widths = model.card.conformal.half_widths if model.card.conformal else ()
    return found.outputs, np.array(widths)


def refused(file: Path, read: Callable[[Path], object]) -> bool:
    """Whether a file is refused as it should be."""
    try:
        read(file)
    except CheckpointError as error:
        text = str(error)
        assert text.startswith(f"{file}: ") and text.endswith(".") and "\n" not in text and len(text) < 1000
        return True
    return False


def header_of(data: bytes) -> tuple[int, dict[str, Any]]:
    """Where the header of safetensors bytes ends, and what is in it."""
    end = 8 + int.from_bytes(data[:8], "little")
    return end, json.loads(data[8:end])


def forged(data: bytes, change: Callable[[dict[str, Tensor]], object]) -> bytes:
    """The file with other tensors and a digest that is right."""
    tensors = load(data)
    change(tensors)
    metadata = header_of(data)[1]["__metadata__"]
    found = with_digest(save(tensors, {**metadata, DIGEST_KEY: BLANK_DIGEST}))
    assert found
    return found


def changing(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], None]:
    """What exchanges one tensor."""
    return lambda tensors: tensors.update({name: change(tensors[name])})


def corrupted(data: bytes, seed: int) -> bytes:
    """The bytes with a fault such as disks, downloads and editors make."""
    draw = random.Random(seed)
    end = header_of(data)[0]
    broken = bytearray(data)
    first, last = sorted(draw.sample(range(len(data)), 2))
    last = min(last, first + 4096)
    match seed % 8:
        case 0:
            broken[draw.randrange(end)] ^= 1 << draw.randrange(8)
        case 1:
            broken[draw.randrange(end, len(data))] ^= 1 << draw.randrange(8)
        case 2:
            del broken[first:]
        case 3:
            del broken[first:last]
        case 4:
            broken[first:last] = bytes(last - first)
        case 5:
            broken[first:first] = draw.randbytes(draw.randrange(1, 64))
        case 6:
            broken[first:last] = draw.sample(broken[first:last], last - first)
        case _:
            broken[:8] = draw.randrange(2 ** draw.choice((8, 16, 24, 40, 64))).to_bytes(8, "little")
    return bytes(broken)


@pytest.mark.parametrize("kind", ["classes", "numbers", "ensemble", "format2-classes", "format2-numbers"])
def test_what_is_corrupted_is_refused_or_answers_as_before(
    kind: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    file = tmp_path / "m"
    file.write_bytes(files[kind])
    whole = answers(file)
    count = 0
    for seed in SEEDS[:: 1 if kind == "classes" else 5]:
        file.write_bytes(corrupted(files[kind], seed))
        if refused(file, load_model):
            count += 1
            assert refused(file, load_card)
        else:  # nothing was changed
            assert all(map(np.array_equal, answers(file), whole)), seed
    assert count > 0.9 * len(SEEDS) / (1 if kind == "classes" else 5)


@pytest.mark.parametrize("kind", ["classes", "ensemble", "format2-numbers"])
def test_a_file_that_ends_at_any_boundary_is_refused(
    kind: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    end, header = header_of(files[kind])
    ends = {
        end + place for name, tensor in header.items() if name[:2] != "__" for place in tensor["data_offsets"]
    }
    assert len(ends) > 10
    for place in sorted({0, 1, 7, 8, 9, end - 1, end, *ends} - {len(files[kind])}):
        (tmp_path / "m").write_bytes(files[kind][:place])
        assert refused(tmp_path / "m", load_model), place


def of_type(kind: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda value: value.to(kind)


TENSORS: dict[str, Callable[[Tensor], Tensor]] = {
    **{str(kind): of_type(kind) for kind in (torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.int8)},
    **{str(kind): of_type(kind) for kind in (torch.bool, torch.complex64, torch.float8_e4m3fn)},
    "NaN": lambda value: torch.full_like(value, float("nan")),
    "one infinity": lambda value: value.index_fill(0, torch.tensor([1]), float("inf")),
    "another shape": lambda value: value.reshape(1, -1),
    "a number": lambda value: value[0].clone(),
    "nothing": lambda value: value[:0].clone(),
    "longer": lambda value: torch.cat([value, value]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["classes", "ensemble", "format2-classes"])
@pytest.mark.parametrize("change", TENSORS)
def test_tensors_of_another_kind_are_refused(
    change: str, kind: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    """With a digest that is right; one tensor, and where it would still be a network, all of them."""
    file = tmp_path / "m"
    name = min(name for name in load(files[kind]) if name.endswith(LAST))
    file.write_bytes(forged(files[kind], changing(name, TENSORS[change])))
    assert refused(file, load_model)
    if change.startswith("torch"):
        every = {key: TENSORS[change](value) for key, value in load(files[kind]).items()}
        file.write_bytes(forged(files[kind], lambda tensors: tensors.update(every)))
        assert refused(file, load_model)


@pytest.mark.parametrize("kind", ["classes", "ensemble", "format2-classes"])
def test_more_or_fewer_tensors_are_refused(kind: str, files: dict[str, bytes], tmp_path: Path) -> None:
    file = tmp_path / "m"
    names = list(load(files[kind]))
    for name in names:
        file.write_bytes(forged(files[kind], lambda tensors, name=name: tensors.pop(name)))  # type: ignore[misc]
        assert refused(file, load_model), name
    for more in ("extra", f"{names[0]}.more", "member1.extra", "member3.head", "", "\n"):
        file.write_bytes(
            forged(files[kind], lambda tensors, more=more: tensors.update({more: torch.ones(2)}))
        )  # type: ignore[misc]
        assert refused(file, load_model), more
    file.write_bytes(forged(files[kind], lambda tensors: tensors.clear()))
    assert refused(file, load_model)


def tables(values: object, trail: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the keys of a description are, those of tables in it included."""
    items = (
        values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    )
    for key, inner in items:
        if isinstance(values, dict):
            yield (*trail, key)
        if key not in ("recipe", "provenance"):
            yield from tables(inner, (*trail, key))


@pytest.mark.parametrize("kind", ["classes", "numbers", "ensemble", "format2-classes", "format2-numbers"])
def test_a_description_without_a_key_or_with_one_too_many_is_refused_or_the_same(
    kind: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    """A default in its place could be another answer: the policy, the temperature, the head of the network."""
    file = tmp_path / "m"
    file.write_bytes(files[kind])
    whole = answers(file)
    places = list(tables(described(files[kind])))
    assert len(places) > 15
    for *trail, key in places:
        for change in ("without", "with"):
            card: Any = described(files[kind])
            inner = card
            for step in trail:
                inner = inner[step]
            if change == "without":
                del inner[key]
            else:
                inner[f"{key} "] = inner[key]
            file.write_bytes(rewritten(files[kind], card=card))
            if not refused(file, load_model):  # what is not of this kind of model, and of old formats
                assert all(map(np.array_equal, answers(file), whole)), (change, trail, key)


def test_files_that_only_look_like_one(files: dict[str, bytes], tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    whole = files["classes"]
    end, header = header_of(whole)
    lies = {
        "a pickle": pickle.dumps({"head": [1.0]}),
        "a header of four gigabytes": (2**32).to_bytes(8, "little") + whole[8:],
        "a header of 50 MiB": (50 * 2**20).to_bytes(8, "little") + whole[8:],
        "metadata that is a list": whole.replace(b'"__metadata__":{', b'"__metadata__":[', 1),
        "tensors beyond the end": rewritten(
            whole, header={LAST: {**header[LAST], "data_offsets": [0, 2**60]}}
        ),
        "tensors over each other": rewritten(whole, header={LAST: {**header[LAST], "data_offsets": [4, 16]}}),
        "a shape of another size": rewritten(whole, header={LAST: {**header[LAST], "shape": [2**40]}}),
        "a shape of letters": rewritten(whole, header={LAST: {**header[LAST], "shape": "x"}}),
        "an unknown type": rewritten(whole, header={LAST: {**header[LAST], "dtype": "F7"}}),
        "a tensor that is a number": rewritten(whole, header={LAST: 7}),
        "nothing but the header": whole[:end],
        "twice": whole * 2,
    }
    for name, data in lies.items():
        file.write_bytes(data)
        assert refused(file, load_model), name
    assert refused(Path("/dev/zero"), load_model)  # which has no end


@pytest.mark.parametrize("kind", ["classes", "ensemble"])
def test_weights_of_a_damaged_model_file_are_refused(
    kind: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    """Where training begins from one, its digest counts as well."""
    file = tmp_path / "m.safetensors"
    network = create_model("lenet5", num_classes=3, in_channels=1, image_size=16)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for seed in SEEDS[::4]:
        file.write_bytes(corrupted(files[kind], seed))
        if file.read_bytes() != files[kind]:
            with pytest.raises((CheckpointError, InvalidArgument)):
                load_weights(network, "lenet5", file)
    name = min(name for name in load(files[kind]) if name.endswith(LAST))
    for change in ("NaN", "one infinity", "torch.int32", "torch.complex64", "longer"):
        file.write_bytes(forged(files[kind], changing(name, TENSORS[change])))
        with pytest.raises((CheckpointError, InvalidArgument)):
            load_weights(network, "lenet5", file)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("fault", ["cut", "flipped", "NaN", "half precision", "no window"])
def test_every_verb_says_it_in_one_sentence(
    fault: str,
    files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_shapes(tmp_path / "shapes", count=20, size=32)
    image = next((tmp_path / "shapes").rglob("*.png"))
    whole = files["classes"]
    card: Any = described(whole)
    del card["preprocessing"]["window"]
    data = {
        "cut": whole[:-1],
        "flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
        "NaN": forged(whole, lambda tensors: tensors[LAST].fill_(float("nan"))),
        "half precision": forged(whole, lambda tensors: tensors.update({LAST: tensors[LAST].half()})),
        "no window": rewritten(whole, card=card),
    }[fault]
    (tmp_path / "m.safetensors").write_bytes(data)
    before = sorted(tmp_path.iterdir())
    for command in (
        ["predict", "m.safetensors", str(image)],
        ["explain", "m.safetensors", str(image)],
        ["evaluate", "m.safetensors", "shapes"],
        ["summary", "m.safetensors"],
    ):
        assert run(command) == 1, command
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("Error: m.safetensors: ") and err.count("\n") == 1, err
    assert sorted(tmp_path.iterdir()) == before
