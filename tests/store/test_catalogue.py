"""The catalogue: every row can be used, and names find what they mean."""

import re

import pytest

from mirada.errors import CheckpointError, InvalidArgument
from mirada.models import CATALOGUE, checked_options, facts, find
from mirada.store.catalogue import (
    PublicWeights,
    named_weights,
    nearest_with_weights,
    public_weights,
    recognised,
    weights_of,
)
from mirada.store.scale import ValueScale, scale_in
from mirada.training.start import SCALES

ALL = public_weights()


@pytest.mark.parametrize("public", ALL, ids=lambda public: public.name)
def test_every_row_is_whole(public: PublicWeights) -> None:
    assert public.network in CATALOGUE
    assert public.name.startswith(f"{public.network}.")
    checked_options(public.network, public.options)
    assert public.licence and public.licence_source and public.data
    assert public.top1 is None or public.measured
    assert public.resize >= public.input
    for file in public.files:
        assert len(file.sha256) in (0, 8, 64) and re.fullmatch("[0-9a-f]*", file.sha256)
        in_name = re.search(r"[-_]([0-9a-f]{8})\.", file.name)
        if in_name:
            assert file.sha256.startswith(in_name[1])
        assert not file.address or file.address.startswith("https://") or "lip6.fr" in file.address
        assert "{" not in file.address


def test_names_files_and_digests_are_of_one_set_each() -> None:
    names = [public.name for public in ALL]
    files = [file.name for public in ALL for file in public.files]
    digests = [file.sha256[:8] for public in ALL for file in public.files if file.sha256]
    for each in (names, files, digests):
        assert len(each) == len(set(each))


def test_what_torchvision_publishes_is_all_there() -> None:
    """Every network of torchvision's that there is here; the older names as well."""
    for name in (
        "alexnet-owt-7be5be79", "vgg11-8a719046", "googlenet-1378be20.pth", "inception_v3_google-0cc3c7bd",
        "resnet152-f82ba261", "densenet201-c1103571", "resnet50-19c8e357.pth", "alexnet-owt-4df8aa71",
        "inception_v3_google-1a9a5a14", "bn_inception-52deb4733",
    ):  # fmt: skip
        assert named_weights(name).files


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("resnet18", "resnet18.tv_in1k"),
        ("RESNET50", "resnet50.tv_in1k"),
        ("resnet50.tv2_in1k", "resnet50.tv2_in1k"),
        ("resnet50-11ad3fa6.pth", "resnet50.tv2_in1k"),
        ("resnet20-12fca82f", "resnet20.idelbayev_cifar10"),
        ("inception_v4", "inception_v4.tf_in1k"),
        ("vgg16", "vgg16.tv_in1k"),
    ],
)
def test_names(name: str, meant: str) -> None:
    assert named_weights(name).name == meant


@pytest.mark.parametrize(
    ("name", "network", "sentence"),
    [
        ("resnet81", "", 'no public weights "resnet81". Did you mean "resnet18"?'),
        ("resnet18.tv_in1", "", 'no public weights "resnet18.tv_in1". Did you mean "resnet18.tv_in1k"?'),
        ("imagenet", "resnet18", "For resnet18 there are resnet18.tv_in1k, "),
        ("x" * 300, "", f'no public weights "{"x" * 60}…". mirada weights list shows them all.'),
        ("xyz", "", "mirada weights list shows them all."),
        (
            "inceptionv3",
            "",
            'no public weights "inceptionv3". Did you mean "inception_v3.',
        ),  # not RadImageNet's file
        ("alexnet", "", "alexnet has no public weights; the nearest network that has is alexnet_owt ("),
        ("vgg16_c", "", "the nearest network that has is vgg13_bn"),
        ("plain18", "", "the nearest network that has is resnet18 (resnet18.tv_in1k)."),
        ("inception_v2", "", "(inception_v3.tv_in1k)"),
        ("zzz", "overfeat_fast", "overfeat_fast has no public weights; the nearest"),
    ],
)
def test_names_that_are_none(name: str, network: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(sentence)):
        named_weights(name, network=network)


def test_every_network_without_weights_has_a_nearest_one() -> None:
    for network in CATALOGUE:
        assert weights_of(nearest_with_weights(network))


def test_a_digest_finds_its_file() -> None:
    found = recognised("f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec")
    assert found is not None and found[0].name == "resnet18.tv_in1k"
    assert recognised("f37072fd" + "0" * 56) is None  # the whole digest is published
    short = recognised("8a719046" + "0" * 56)
    assert short is not None and short[0].name == "vgg11.tv_in1k"
    assert recognised("0" * 64) is None


def test_scales_agree_with_what_networks_are_known_to_expect() -> None:
    """The default set of a network is on the scale that its facts state, as far as those are used."""
    named = {"imagenet": (0.485, 0.456, 0.406), "half": (0.5, 0.5, 0.5)}
    for network in {public.network for public in ALL} - {"bn_inception"}:
        assert weights_of(network)[0].scale.mean == named[facts(network).scale]


def test_ranges_and_orders_are_folded_into_mean_and_deviation() -> None:
    """Of Cadene's BN-Inception: blue first, 0 … 255."""
    mean, std = named_weights("bn_inception").scale.normalization
    assert mean == pytest.approx((128 / 255, 117 / 255, 104 / 255))
    assert std == pytest.approx((1 / 255,) * 3)
    assert named_weights("resnet18").scale.normalization[0] == (0.485, 0.456, 0.406)


def test_a_scale_in_a_files_metadata(tmp_path: object) -> None:
    file = named_weights("vgg16.features_in1k").scale
    assert scale_in("x", file.metadata()) == file  # type: ignore[arg-type]
    assert scale_in("x", {"format": "pt"}) is None  # type: ignore[arg-type]
    stated = {"range": "0..255", "mean": "123.68,116.779,103.939", "std": "1,1,1", "channels": "RGB"}
    found = scale_in("x", stated)  # type: ignore[arg-type]
    assert found is not None and found.normalization[0] == pytest.approx(
        (0.48502, 0.45796, 0.40760), abs=5e-6
    )
    for wrong in (
        {"mean": "1,1,1"},
        {"channels": "BGR"},
        {**stated, "std": "0,1,1"},
        {**stated, "range": "0..1023"},
        {**stated, "mean": "1,x,1"},
        {**stated, "channels": "RGBA"},
        {**stated, "mean": "nan,1,1"},
        {**stated, "mean": "1,1"},
    ):
        with pytest.raises(CheckpointError, match=r"^x: its metadata do not say which pixel values"):
            scale_in("x", wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no scale"):
        ValueScale(mean=(0.5,), std=(0.5, 0.5))


def test_the_size_of_every_set_is_that_of_its_network() -> None:
    """So whoever sets none trains at the published one."""
    for each in public_weights():
        assert find(each.network).image[1:] == (each.input, each.input), each.name
        assert each.resize >= each.input, each.name


@pytest.mark.parametrize("network", sorted({public.network for public in ALL}))
def test_a_networks_usual_scale_is_that_of_its_public_weights(network: str) -> None:
    """By it weights are read of which the catalogue does not know more; None where they have one of their own."""
    usual, (mean, std) = facts(network).scale, weights_of(network)[0].scale.normalization
    colours = {name: [each * (3 // len(each)) for each in scale] for name, scale in SCALES.items()}
    named = (name for name, scale in colours.items() if scale == [mean, std])
    assert usual == next(named, None)
