"""Weights to start from, by name or by file: verified, known by digest, and on the scale that they expect."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from store_helpers import Small

import mirada
from mirada.cli import run
from mirada.cli.summary import command as summary
from mirada.data.examples.shapes import write_shapes
from mirada.errors import CheckpointError, InvalidArgument, MiradaError, RecipeError
from mirada.events import Event, LoadReport, Started
from mirada.layers.network import Network
from mirada.modelfile import Architecture, load_card
from mirada.models import create_model
from mirada.samples import Classes
from mirada.store import StoreError
from mirada.store.adding import add_file
from mirada.store.catalogue import named_weights
from mirada.store.store import WeightStore
from mirada.training.known_weights import StartingWeights, find_weights, size_note, with_average_head
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.start import PixelScale, starting_network, starting_scale

TEN = Classes(tuple("abcdefghij"))


def recipe_of(model: str, weights: object, **settings: object) -> Recipe:
    return recipe_for(model).with_settings({"weights": str(weights), **settings})


def found_by(model: str, weights: object) -> StartingWeights:
    found = find_weights(recipe_of(model, weights))
    assert found is not None
    return found


def begun(recipe: Recipe, target: Classes = TEN) -> tuple[Network, StartingWeights, PixelScale | None]:
    """The network, what is known of its weights, and the scale of its pixels."""
    channels = 3 if recipe.pixels.mode == "RGB" else 1
    architecture = Architecture(
        model=recipe.model, options=recipe.options, outputs=len(target.names) if len(target.names) > 2 else 1,
        in_channels=channels, image_size=recipe.pixels.image_size,
    )  # fmt: skip
    found = find_weights(recipe)
    network, report = starting_network(recipe, architecture, target, found=found)
    assert found is not None and report is not None
    return network, found, starting_scale(recipe, report, channels, found)


def refusal(model: str, weights: object) -> str:
    with pytest.raises(MiradaError) as caught:
        find_weights(recipe_of(model, weights))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def nobody() -> None:
    raise AssertionError("nobody else is here")


# By name ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lenet5.test_digits", "lenet5", "LeNet5"])
def test_a_name_is_looked_up_and_every_byte_verified(name: str, store: WeightStore, published: Small) -> None:
    record, _ = add_file(store, published.lenet, nobody)
    found = found_by("lenet5", name)
    assert (found.file, found.sha256) == (store.path("lenet5.test_digits"), record.sha256)
    assert found.public == named_weights("lenet5") and found.scale == found.public.scale
    data = bytearray(found.file.read_bytes())
    data[-1] ^= 1
    found.file.write_bytes(data)
    assert "altered since it came in" in refusal("lenet5", name)
    found.file.write_bytes(data[:-5])
    assert "truncated; it has" in refusal("lenet5", name)


def test_names_that_lead_nowhere(store: WeightStore, published: Small, tmp_path: Path) -> None:
    assert "mirada weights get lenet5.test_digits fetches it" in refusal("lenet5", "lenet5")
    assert "For lenet5 there are lenet5.test_digits;" in refusal("lenet5", "imagenet")
    assert refusal("resnet18", "lenet5").startswith(
        "weights: lenet5.test_digits are weights of lenet5, and the network is resnet18. Choose --model lenet5, or"
    )
    assert "resnet18 has no public weights; the nearest network that has is " in refusal(
        "resnet18", "resnet18"
    )
    assert "own.pth: the checkpoint cannot be read (no such file" in refusal("lenet5", "own.pth")
    assert "the checkpoint cannot be read (is a directory)" in refusal("lenet5", tmp_path)


def test_a_folder_does_not_hide_a_name(
    store: WeightStore, published: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a run stands for its model; one that only has the name of a network does not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lenet5").mkdir()
    assert "lenet5.test_digits is not in " in refusal("lenet5", "lenet5")
    (tmp_path / "mine").mkdir()
    shutil.copy(published.lenet, tmp_path / "mine" / "model.safetensors")
    assert found_by("lenet5", "mine").public == named_weights("lenet5")


# By file ----------------------------------------------------------------------------------------------------


def test_a_file_is_known_by_its_digest_whatever_it_is_called(published: Small, tmp_path: Path) -> None:
    """Its scale is the catalogue's, and not what other weights of the network expect."""
    file = Path(shutil.copy(published.lenet, tmp_path / "mine.pth"))
    _, found, scale = begun(recipe_of("lenet5", file))
    assert found.public == named_weights("lenet5")
    assert scale == ((0.5,), (0.25,))
    _, _, stated = begun(recipe_of("lenet5", file, normalize="unit"))
    assert stated == ((0.0,), (1.0,))
    assert "are weights of lenet5, and the network is mlp" in refusal("mlp", file)


def test_a_file_of_the_store_that_went_elsewhere_still_says_what_it_expects(
    store: WeightStore, published: Small, tmp_path: Path
) -> None:
    add_file(store, published.lenet, nobody)
    file = Path(shutil.copy(store.path("lenet5.test_digits"), tmp_path / "sent.safetensors"))
    assert begun(recipe_of("lenet5", file))[2] == ((0.5,), (0.25,))


def test_a_known_name_with_another_content_is_refused(published: Small, tmp_path: Path) -> None:
    file = Path(shutil.copy(published.mlp, tmp_path / published.lenet.name))
    assert "its digest is " in refusal("lenet5", file)


def test_of_weights_alone_somebody_has_to_state_the_scale(tmp_path: Path) -> None:
    torch.save(create_model("lenet5").state_dict(), tmp_path / "own.pth")
    with pytest.raises(
        RecipeError, match=r"^own\.pth: nobody knows which pixel values these weights expect: "
    ):
        begun(recipe_of("lenet5", tmp_path / "own.pth"))
    assert begun(recipe_of("lenet5", tmp_path / "own.pth", normalize="half"))[2] == ((0.5,), (0.5,))
    assert begun(recipe_of("lenet5", tmp_path / "own.pth", normalize="data"))[2] is None


def test_metadata_that_state_half_a_scale_are_refused(tmp_path: Path) -> None:
    save_file(create_model("lenet5").state_dict(), tmp_path / "own.safetensors", {"mean": "0.5"})
    with pytest.raises(CheckpointError, match="do not say which pixel values"):
        find_weights(recipe_of("lenet5", tmp_path / "own.safetensors"))


@pytest.mark.parametrize("about", [{"mean": "0.5"}, {"mean": "x", "std": "1", "range": "0..1"}])
def test_a_scale_that_is_stated_counts_where_the_files_is_none(about: dict[str, str], tmp_path: Path) -> None:
    """As the refusal says; but not where the file speaks of colours in another order, which nobody can state."""
    file = tmp_path / "own.safetensors"
    save_file(create_model("lenet5").state_dict(), file, about)
    assert "--set normalize=imagenet, half, unit or data" in refusal("lenet5", file)
    assert begun(recipe_of("lenet5", file, normalize="half"))[2] == ((0.5,), (0.5,))
    save_file(create_model("lenet5").state_dict(), file, {**about, "channels": "BGR"})
    with pytest.raises(
        CheckpointError, match=r"Write all of them, and channels \(RGB or BGR\), into the file"
    ):
        find_weights(recipe_of("lenet5", file, normalize="half"))


def test_what_is_no_file_is_not_read(store: WeightStore, tmp_path: Path) -> None:
    """A pipe, whose writer may never come; a device, which may have no end; a name that no file can have."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert f"{path}: the checkpoint cannot be read (a pipe or a device" in refusal("lenet5", path)
        with pytest.raises(StoreError, match="a pipe or a device, and it is read more than once"):
            add_file(store, path, nobody)
    assert run(["weights", "add", str(tmp_path / "pipe")]) == 2
    assert "There are no public weights" in refusal("lenet5", f"{'x' * 300}.pth")


def test_an_empty_text_is_no_word_for_random_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a variable that is not set."""
    with pytest.raises(InvalidArgument, match=r"must be a name or a file\. Got an empty text"):
        mirada.create_model("lenet5", weights="")
    assert run(["train", str(tmp_path), "--weights", ""]) == 2
    assert "--weights" in capsys.readouterr().err


# What they expect --------------------------------------------------------------------------------------------


def test_blue_first_and_0_to_255_are_folded_in_exactly(tmp_path: Path) -> None:
    """The network on Mirada's pixels gives what the published one gives on its own, for colours and for grey."""
    torch.manual_seed(0)
    theirs = create_model("simplecnn", num_classes=10).eval()
    mean, std = (104.0, 117.0, 128.0), (1.0, 2.0, 3.0)
    about = {"range": "0..255", "mean": "104,117,128", "std": "1,2,3", "channels": "BGR"}
    save_file(theirs.state_dict(), tmp_path / "caffe.safetensors", about)
    images = torch.rand(2, 3, 64, 64)

    def theirs_of(rgb: torch.Tensor) -> torch.Tensor:
        blue_first = 255 * rgb.flip(1)
        columns = [torch.tensor(values).reshape(1, 3, 1, 1) for values in (mean, std)]
        return theirs.features((blue_first - columns[0]) / columns[1])

    recipe = recipe_of("simplecnn", tmp_path / "caffe.safetensors", normalize="auto", head="dense")
    ours, _, scale = begun(recipe)
    assert scale is not None and scale[0] == pytest.approx([128 / 255, 117 / 255, 104 / 255])
    assert scale[1] == pytest.approx([3 / 255, 2 / 255, 1 / 255])
    shift, spread = (torch.tensor(values).reshape(1, 3, 1, 1) for values in scale)
    torch.testing.assert_close(
        ours.eval().features((images - shift) / spread), theirs_of(images), rtol=1e-4, atol=1e-3
    )
    turned = ours.state_dict()["stem.0.weight"]
    assert torch.equal(turned, theirs.state_dict()["stem.0.weight"].flip(1))


def test_grey_images_get_summed_kernels_and_averaged_scales(tmp_path: Path) -> None:
    """As RadImageNet's networks, which saw grey images in three equal channels: exact there."""
    torch.manual_seed(0)
    theirs = create_model("simplecnn", num_classes=10).eval()
    about = {"range": "0..255", "mean": "127.5,127.5,127.5", "std": "127.5,127.5,127.5", "channels": "BGR"}
    save_file(theirs.state_dict(), tmp_path / "rad.safetensors", about)
    recipe = recipe_of("simplecnn", tmp_path / "rad.safetensors", normalize="auto", mode="L", head="dense")
    ours, _, scale = begun(recipe)
    assert scale == ((0.5,), (0.5,))
    grey = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(
        ours.eval().features((grey - 0.5) / 0.5),
        theirs.features((255 * grey.expand(-1, 3, -1, -1) - 127.5) / 127.5),
        rtol=1e-4,
        atol=1e-4,
    )


def test_the_features_of_vgg_say_what_they_expect(shared_data: Path) -> None:
    """By digest; and a copy that nobody knows by its own metadata."""
    file = shared_data / "weights" / "vgg16-features.safetensors"
    found = found_by("vgg16", file)
    assert found.public is not None and found.public.name == "vgg16.features_in1k"
    assert found.scale is not None
    mean, std = found.scale.normalization
    assert mean == pytest.approx((0.48502, 0.45796, 0.40760), abs=5e-6) and std == pytest.approx(
        (1 / 255,) * 3
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "Images are brought to 224 × 224 pixels (stretch), the size that vgg16.features_in1k expect; they were "
             "judged on the middle of a shorter side of 256, as --set policy=crop --set resize=256 has it."),
        ({"policy": "crop", "resize": 256},
         "Images are brought to 224 × 224 pixels (crop), the size that vgg16.features_in1k expect."),
        ({"image_size": [96, 128]},
         "Images are brought to 96 × 128 pixels (stretch), where vgg16.features_in1k expect 224 × 224."),
    ],
)  # fmt: skip
def test_the_size_of_the_images_is_said_beside_the_published_one(
    settings: dict[str, object], said: str
) -> None:
    public = named_weights("vgg16.features_in1k")
    found = StartingWeights(file=Path("x"), sha256="", public=public, scale=public.scale)
    assert size_note(recipe_for("vgg16").with_settings(settings), found) == said
    assert size_note(recipe_for("vgg16"), None) == ""
    assert public.expected == (
        "values 0 to 255, RGB, mean 123.68, 116.779, 103.939, std 1, 1, 1; 224 × 224 pixels from the middle of a "
        "shorter side of 256"
    )


# The head ----------------------------------------------------------------------------------------------------


def test_the_head_of_averages_is_the_default_with_public_weights(published: Small, tmp_path: Path) -> None:
    found = found_by("lenet5", published.lenet)
    recipe = recipe_of("lenet5", published.lenet)
    chosen, note = with_average_head(recipe, found)
    assert chosen.options["head"] == "average" and note.endswith("--set head=dense has the paper's.")
    asked = recipe.with_settings({"head": "dense"})
    assert with_average_head(asked, found) == (asked, "")
    assert with_average_head(recipe, None) == (recipe, "")
    resnet = recipe_for("resnet18")
    assert with_average_head(resnet, found) == (resnet, "")
    network, _, _ = begun(chosen)
    dense = load_file if published.lenet.suffix == ".safetensors" else torch.load
    before = dense(published.lenet)
    after = network.state_dict()
    assert torch.equal(after["stage1.0.weight"], before["stage1.0.weight"])
    assert not any(name.startswith("head.hidden") for name in after)


def test_what_is_left_out_of_a_head_is_counted(published: Small) -> None:
    recipe = with_average_head(recipe_of("lenet5", published.lenet), found_by("lenet5", published.lenet))[0]
    architecture = Architecture(
        model="lenet5", options=recipe.options, outputs=10, in_channels=1, image_size=(32, 32)
    )
    _, report = starting_network(recipe, architecture, TEN, found=find_weights(recipe))
    assert report is not None
    left_out = [name for name in report.dropped if name.startswith("head.")]
    assert left_out and report.replaced == ("head.linear.weight", "head.linear.bias")
    assert f"left out: {left_out[0]}" in str(report)


def test_a_head_for_other_classes_is_said_to_be_one(published: Small) -> None:
    recipe = recipe_of("lenet5", published.lenet, head="dense")
    architecture = Architecture(
        model="lenet5", options=recipe.options, outputs=10, in_channels=1, image_size=(32, 32)
    )
    _, report = starting_network(recipe, architecture, TEN, found=find_weights(recipe))
    assert report is not None and report.head_of == ("the 10 classes of drawn digits",)


# In Python ---------------------------------------------------------------------------------------------------


def test_create_model_takes_a_name_as_training_does(store: WeightStore, published: Small) -> None:
    """The very tensors, and the scale that the catalogue knows; a damaged file is refused."""
    record, _ = add_file(store, published.lenet, nobody)
    network = mirada.create_model("lenet5", weights="lenet5.test_digits")
    trained, _, scale = begun(recipe_of("lenet5", "lenet5", head="dense"))
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in network.state_dict().items())
    assert network.pixel_scale == scale == ((0.5,), (0.25,))
    assert mirada.create_model("lenet5").pixel_scale is None
    file = store.path(record.name)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(MiradaError, match="altered since it came in"):
        mirada.create_model("lenet5", weights="lenet5")


def test_create_model_refuses_what_training_refuses(
    store: WeightStore, published: Small, tmp_path: Path
) -> None:
    renamed = Path(shutil.copy(published.mlp, tmp_path / published.lenet.name))
    for model, weights in (
        ("lenet5", "lenet5"), ("lenet5", "imagenet"), ("resnet18", "lenet5"), ("resnet18", "resnet18"),
        ("lenet5", "own.pth"), ("lenet5", str(renamed)),
    ):  # fmt: skip
        with pytest.raises(MiradaError) as caught:
            mirada.create_model(model, weights=weights)
        assert str(caught.value) == refusal(model, weights)


def test_create_model_turns_kernels_round_and_says_the_scale(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    theirs = mirada.create_model("simplecnn", num_classes=10)
    about = {"range": "0..255", "mean": "104,117,128", "std": "1,2,3", "channels": "BGR"}
    save_file(theirs.state_dict(), tmp_path / "caffe.safetensors", about)
    with caplog.at_level("INFO", logger="mirada"):
        ours = mirada.create_model("simplecnn", num_classes=10, weights=tmp_path / "caffe.safetensors")
    assert torch.equal(ours.state_dict()["stem.0.weight"], theirs.state_dict()["stem.0.weight"].flip(1))
    assert ours.pixel_scale is not None
    assert ours.pixel_scale[0] == pytest.approx((128 / 255, 117 / 255, 104 / 255))
    assert ours.pixel_scale[1] == pytest.approx((3 / 255, 2 / 255, 1 / 255))
    said = caplog.records[0].getMessage()
    assert "  they expect values 0 to 255, BGR, mean 104, 117, 128, std 1, 2, 3\n" in said
    assert said.endswith("the first kernels were turned round, from blue, green, red to red, green, blue")
    torch.save(theirs.state_dict(), tmp_path / "own.pth")  # nobody knows what these expect
    own = mirada.create_model("simplecnn", num_classes=10, weights=tmp_path / "own.pth")
    assert own.pixel_scale is None


# A run -------------------------------------------------------------------------------------------------------


def test_a_run_from_weights_by_name(store: WeightStore, published: Small, tmp_path: Path) -> None:
    """What they are is in the events, the report and the model file, and the recipe names them still."""
    add_file(store, published.lenet, nobody)
    write_shapes(tmp_path / "shapes", count=24, size=32, seed=0)
    heard: list[Event] = []
    run = mirada.train(
        tmp_path / "shapes", model="lenet5", weights="lenet5", output=tmp_path / "run", epochs=1, batch_size=8,
        device="cpu", on_event=heard.append,
    )  # fmt: skip
    (start,) = (event for event in heard if isinstance(event, Started))
    assert any(note.startswith("The head is average ") for note in start.notes)
    (told,) = (event for event in heard if isinstance(event, LoadReport))
    assert (told.name, told.data) == ("lenet5.test_digits", "drawn digits")
    assert any(
        note == "Images are brought to 32 × 32 pixels (stretch), where lenet5.test_digits expect 28 × 28."
        for note in start.notes
    )
    line = "lenet5.test_digits, trained on drawn digits; licence CC0-1.0 (the test that drew it); SHA-256 "
    expects = "expects values 0 to 1, RGB, mean 0.5, std 0.25; 28 × 28 pixels"
    assert line in told.text
    card = load_card(run.model_path)
    assert card.began_with is not None and line in str(card.began_with)
    assert (
        str(card.began_with).endswith(expects)
        and f"  they {expects.replace('expects', 'expect')}" in told.text
    )
    assert card.preprocessing.mean == (0.5,) and card.preprocessing.std == (0.25,)
    assert card.architecture.options["head"] == "average" and card.recipe["weights"] == "lenet5"
    for arguments, said in (
        ((), f"Weights: training began with {line}"),
        (("--markdown",), "Weights: training began"),
    ):
        printed = CliRunner().invoke(summary, [str(run.model_path), *arguments]).output
        assert next(each for each in printed.splitlines() if said in each).rstrip(".").endswith(expects)
    told_json = CliRunner().invoke(summary, [str(run.model_path), "--json"]).output
    assert json.loads(told_json)["weights"]["name"] == "lenet5.test_digits"
    page = run.report_path.read_text(encoding="utf-8")
    assert "lenet5.test_digits, trained on drawn digits; licence CC0-1.0" in re.sub(r"\s+", " ", page)
    assert expects.removeprefix("expects ") in page
    again = mirada.train(
        tmp_path / "shapes", recipe=Recipe().with_settings(card.recipe), output=tmp_path / "again", epochs=1
    )
    first, second = (load_file(each.model_path) for each in (run, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
