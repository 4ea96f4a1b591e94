"""The page of an opened network: its numbers against hooks of plain torch, its formulas against torch's functions."""

import json
import re
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirada.compute import choose
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import InvalidArgument
from mirada.explain.class_maps import class_maps
from mirada.explain.passes import open_passes
from mirada.inference.model import Model
from mirada.jobs.opened import open_network
from mirada.jobs.opened_stages import stages_of
from mirada.modelfile import Architecture, Card, Member
from mirada.models.bonet import TABLE, SpatialTransformer
from mirada.pages.lessons.wording import LANGUAGES, sentences_of
from mirada.pages.opened import OpenedStage, opened_page
from mirada.pages.page import TEMPLATES
from mirada.samples import Classes, Covariate, Numbers, Scaling
from mirada.summary.fields import map_geometry

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
MEAN, STD = 0.4, 0.3


def model_of(name: str, channels: int, size: int, *, outputs: int = 5, **options: object) -> Model:
    """A network with weights drawn by a seed, whose batch normalization does something."""
    torch.manual_seed(0)
    architecture = Architecture(
        model=name, outputs=outputs, in_channels=channels, image_size=(size, size), options=options
    )
    pre = Preprocessing(
        size=(size, size),
        mode="L" if channels == 1 else "RGB",
        mean=(MEAN,) * channels,
        std=(STD,) * channels,
    )
    card = Card(
        architecture=architecture, preprocessing=pre, target=Classes(tuple("abcdefg"[: max(2, outputs)]))
    )
    return Model(awake(architecture.build()), card, choose("cpu", "float32"))


def awake(network: nn.Module) -> Any:
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
        if isinstance(layer, SpatialTransformer):
            layer.affine.bias.data += torch.tensor([-0.2, 0.3, 0.15, -0.1, 0.25, -0.3])
    return network.eval()


def photo(size: int, channels: int) -> np.ndarray:
    shape = (size, size) if channels == 1 else (size, size, channels)
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def entering(image: np.ndarray) -> Tensor:
    """What the network reads, with numpy alone."""
    values = (image.astype(np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(
        values[None, None] if values.ndim == 2 else values.transpose(2, 0, 1)[None].copy()
    )


def numbers_of(html: str) -> Any:
    """What lies in the page."""
    found = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def floats(stored: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(b64decode(stored["floats"]), dtype="<f4").reshape(stored["shape"])


def with_hooks(
    network: nn.Module, inputs: tuple[Tensor, ...], output: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Values and gradients of all layers, by torch alone."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for layer in network.modules():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # else a hook sees what comes after

    def hook_of(name: str):
        def hook(_module: nn.Module, _inputs: object, out: Tensor) -> None:
            values = out.detach().clone()
            out.register_hook(lambda gradient: found.__setitem__(name, (values, gradient.clone())))

        return hook

    hooks = [
        layer.register_forward_hook(hook_of(name))
        for name, layer in network.named_modules()
        if not list(layer.children()) and not isinstance(layer, nn.Dropout | nn.Identity)
    ]
    network(*inputs)[0, output].backward()
    for hook in hooks:
        hook.remove()
    return found


CASES = {
    "lenet5": (1, 32, {}),
    "simplecnn": (3, 64, {}),
    "resnet20": (3, 32, {}),
    "googlenet": (3, 64, {}),
    "densenet121": (3, 64, {"growth": 4}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_number_of_the_page_is_that_of_pytorch(name: str) -> None:
    channels, size, options = CASES[name]
    model = model_of(name, channels, size, **options)
    image = photo(size, channels)
    page = open_network(model, image)
    html = opened_page(page, "en")
    assert len(html.encode()) <= 5_000_000
    stages = numbers_of(html)["stages"]
    with torch.no_grad():
        outputs = model.network(entering(image))
    answer = int(outputs[0].argmax())
    assert page.reading.asked == "abcdefg"[answer]
    expected = with_hooks(model.network, (entering(image),), answer)
    compared = 0
    for stage in stages:
        if stage["name"] not in expected or stage["kind"] in ("sum", "concatenation"):
            continue
        (c, h, w), (top, left) = stage["shape"], stage["corner"]
        _, height, width = stage["values"]["shape"]
        for key, whole in zip(("values", "gradients"), expected[stage["name"]], strict=True):
            part = whole.reshape(c, h, w).numpy()[stage["channels"], top : top + height, left : left + width]
            np.testing.assert_allclose(
                floats(stage[key]), part, rtol=1e-6, atol=4e-6 * np.abs(whole.numpy()).max()
            )
            compared += part.size
    assert compared > 0.5 * sum(np.prod(stage["values"]["shape"]) for stage in stages)
    for row, value in zip(page.reading.rows, sorted(outputs[0].tolist(), reverse=True), strict=True):
        assert row.output == pytest.approx(value, abs=1e-6)
        assert f'<data value="{row.output}">' in html


def evaluated(stage: OpenedStage, inputs: list[Tensor]) -> Tensor | None:
    """A stage by its formula on the page, with torch's functions; None for what is not written out."""
    numbers, arrays = stage.formula.numbers, {k: torch.from_numpy(v) for k, v in stage.formula.arrays.items()}
    x = inputs[0] if inputs else torch.empty(0)
    sides = {key: numbers[key] for key in ("kernel", "stride", "padding", "dilation") if key in numbers}
    match stage.formula.kind:
        case "convolution":
            padded = F.pad(x, [sides["padding"][1]] * 2 + [sides["padding"][0]] * 2)
            return F.conv2d(padded, arrays["weight"], arrays["bias"], sides["stride"], 0, sides["dilation"])
        case "dense":
            return F.linear(x.flatten(1), arrays["weight"], arrays["bias"])[..., None, None]
        case "norm":
            return F.batch_norm(
                x, arrays["mean"], arrays["variance"], arrays["weight"], arrays["bias"], eps=numbers["eps"]
            )
        case "rectifier":
            return F.prelu(x, arrays["alpha"])
        case "squash":
            functions = {"tanh": torch.tanh, "sigmoid": torch.sigmoid}
            how = functions.get(numbers["what"], lambda z: 1.7159 * torch.tanh(z * 2 / 3))
            return how(x)
        case "maximum":
            return F.max_pool2d(x, sides["kernel"], sides["stride"], sides["padding"], ceil_mode=True)
        case "average" if "grid" in numbers:
            return F.adaptive_avg_pool2d(x, numbers["grid"])
        case "average":
            return F.avg_pool2d(
                x, sides["kernel"], sides["stride"], sides["padding"], count_include_pad=bool(numbers["pads"]),
                divisor_override=int(numbers["divisor"]) or None,
            )  # fmt: skip
        case "response":
            scale = numbers["k"] + numbers["alpha"] / numbers["size"] * arrays["energy"]
            again = F.local_response_norm(
                x, int(numbers["size"]), numbers["alpha"], numbers["beta"], numbers["k"]
            )
            np.testing.assert_allclose(x * scale ** -numbers["beta"], again, rtol=1e-5, atol=1e-7)
            return again
        case "distance":
            return -torch.cdist(x.flatten(1), arrays["weight"]).square()[..., None, None]
        case "moved":
            grid = F.affine_grid(inputs[1].view(1, 2, 3), x.shape, align_corners=False)
            return F.grid_sample(x, grid, align_corners=False)
        case "sum":
            return sum(inputs[1:], start=x)
        case "affine":
            return x * arrays["factor"][:, None, None] + arrays["shift"][:, None, None]
        case "concatenation":
            return torch.cat(inputs, dim=1)
        case "flattening":
            return x.flatten(1)[..., None, None]
        case "taken":
            taken = x[:, :, :: numbers["stride"], :: numbers["stride"]]
            whole = torch.zeros(1, stage.shape[0], *stage.shape[1:])
            for channel in range(stage.shape[0]):
                if 0 <= channel + numbers["offset"] < x.shape[1]:
                    whole[:, channel] = taken[:, channel + numbers["offset"]]
            return whole
    return None


FORMULAS = {
    **CASES,
    "lenet5_1998": (1, 32, {}),
    "alexnet": (3, 67, {}),
    "inception_v3": (3, 75, {}),
    "resnet18": (3, 64, {"activation": "prelu_per_channel"}),
    "layers": (3, 40, {"layers": "conv 8 k3 p1; relu; pool k2; conv 12 k3; relu; gap"}),
    "mlp": (1, 16, {"widths": [32]}),
    "bonet_simple": (1, 40, {"deformation": True}),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_gives_the_number_that_it_is_said_to_give(name: str) -> None:
    """With all channels and places kept, each step follows from the ones before by what the page says it does."""
    channels, size, options = FORMULAS[name]
    model = model_of(name, channels, size, **options)
    stages = stages_of(open_passes(model.network, entering(photo(size, channels)), None, 1), 1, limit=10**12)
    assert not [stage.name for stage in stages if stage.formula.kind == "other"]
    assert_each_follows(stages)


def assert_each_follows(stages: list[OpenedStage]) -> None:
    for stage in stages:
        assert stage.values.shape == stage.shape
        found = evaluated(
            stage, [torch.from_numpy(stages[number].values.copy())[None] for number in stage.inputs]
        )
        if found is not None:
            _, h, w = stage.shape
            limit = 1e-5 * max(1.0, float(np.abs(stage.values).max()))
            np.testing.assert_allclose(found[0, :, :h, :w].numpy(), stage.values, rtol=1e-5, atol=limit)


class Functional(nn.Module):
    """A module of one's own as most are written: layers with weights, functions for all else."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding="same")
        self.conv2 = nn.Conv2d(6, 8, 3, padding="valid")
        self.hidden = nn.Linear(8 * 3 * 3, 16)
        self.last = nn.Linear(16 + 8, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.local_response_norm(F.max_pool2d(F.relu(self.conv1(images)), 2), 3, alpha=0.1)
        maps = F.leaky_relu(self.conv2(maps), 0.1)
        small = F.adaptive_avg_pool2d(F.avg_pool2d(maps, (2, 2), stride=1), (3, 3))
        hidden = torch.tanh(self.hidden(small.view(small.size(0), -1)).sigmoid()).reshape(1, -1)
        return self.last(torch.cat([hidden, maps.mean(dim=(2, -1))], dim=1))


def test_functions_have_the_formulas_of_their_layers() -> None:
    torch.manual_seed(0)
    stages = stages_of(open_passes(Functional().eval(), entering(photo(16, 3)), None, 1), 1)
    kinds = [stage.formula.kind for stage in stages]
    assert kinds == ["image", "convolution", "rectifier", "maximum", "response", "convolution", "rectifier",
                     "average", "average", "flattening", "dense", "squash", "squash", "taken", "average",
                     "concatenation", "dense"]  # fmt: skip
    assert_each_follows(stages)


class Tokens(nn.Module):
    """Linear layers along other axes than that of the channels, whose formula would not be that of a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.mix = nn.Linear(8, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = tokens + F.gelu(self.mix(tokens.reshape(-1, 8))).view(1, 16, 8)
        return self.last(torch.mean(input=tokens, dim=1))


def test_what_has_no_formula_says_so() -> None:
    stages = stages_of(open_passes(Tokens().eval(), entering(photo(16, 3)), None, 1), 1)
    found = {stage.formula.numbers["what"] for stage in stages if stage.formula.kind == "other"}
    assert found == {"flatten", "transpose", "reshape", "Linear", "gelu", "view", "mean"}
    assert stages[-1].formula.kind == "dense"
    assert_each_follows(stages)


@pytest.mark.slow
def test_a_large_network_at_its_own_size_fits_into_five_megabytes() -> None:
    page = open_network(model_of("vgg16", 3, 224), photo(224, 3))
    assert len(opened_page(page, "en").encode()) <= 5_000_000
    assert len(page.stages) == 39 and all(stage.channels for stage in page.stages)


def test_what_is_left_out_is_counted_and_the_answer_never_is() -> None:
    steps = open_passes(model_of("resnet20", 3, 32).network, entering(photo(32, 3)), None, 4)
    stages = stages_of(steps, 4, limit=300_000)
    assert sum(stage.values.nbytes + stage.gradients.nbytes for stage in stages) < 300_000
    assert 4 in stages[-1].channels
    by_step = {number: set(stage.channels) for number, stage in enumerate(stages)}
    for stage in stages:
        if stage.formula.kind in ("norm", "rectifier", "sum"):
            assert all(by_step[number] == set(stage.channels) for number in stage.inputs)
    page = open_network(model_of("resnet20", 3, 32), photo(32, 3))
    html = opened_page(page, "en")
    assert "se muestran {shown}" in opened_page(page, "es") and "showing {shown} of {all}" in html


def test_the_strongest_channels_are_those_that_the_answer_owes_most() -> None:
    steps = open_passes(model_of("simplecnn", 3, 64).network, entering(photo(64, 3)), None, 0)
    stages = stages_of(steps, 0, limit=150_000)
    conv, act = stages[1], next(stage for stage in stages if stage.formula.kind == "rectifier")
    group = [
        number
        for number, stage in enumerate(stages)
        if stage.channels == conv.channels and stage.shape[1] > 1
    ]
    owed = sum(
        (steps[number].values * steps[number].gradient).sum(dim=(0, 2, 3)).abs()
        for number in group
        if steps[number].values.shape[1] == 32 and number < 4
    )
    assert len(conv.channels) < 32 and act.channels == conv.channels
    assert set(conv.channels) == set(torch.topk(owed, len(conv.channels)).indices.tolist())


def test_fibres_add_up_to_the_exact_map() -> None:
    model, image = model_of("resnet20", 3, 32), photo(32, 3)
    page = open_network(model, image, target="c")
    exact = class_maps(model.network, entering(image))
    assert page.fibres and page.fibres.exact
    np.testing.assert_allclose(page.fibres.map, exact.maps[0, 2].numpy(), rtol=1e-5, atol=1e-5)
    assert page.fibres.map.mean() + page.fibres.bias == pytest.approx(exact.outputs[0, 2].item(), abs=1e-5)
    assert page.fibres.output == pytest.approx(exact.outputs[0, 2].item(), abs=1e-6)
    parts = (page.fibres.values * page.fibres.weights).sum(axis=0)
    assert page.fibres.total == 64 == len(page.fibres.channels)
    np.testing.assert_allclose(parts, page.fibres.map, rtol=1e-4, atol=1e-5)


def test_a_head_that_does_more_than_average_weighs_by_gradients() -> None:
    page = open_network(model_of("lenet5", 1, 32), photo(32, 1))
    assert page.fibres and not page.fibres.exact
    np.testing.assert_allclose(
        (page.fibres.values * page.fibres.weights).sum(axis=0), page.fibres.map, rtol=1e-4, atol=1e-6
    )


def age_model() -> Model:
    """A regression that reads an age and a sex as well."""
    torch.manual_seed(0)
    architecture = Architecture(model="lenet5", outputs=1, in_channels=1, image_size=(32, 32), covariates=2)
    card = Card(
        architecture=architecture,
        preprocessing=Preprocessing(size=(32, 32), mode="L", mean=(MEAN,), std=(STD,)),
        target=Numbers(("age",), "months"),
        target_scaling=Scaling((127.0,), (41.0,)),
        covariates=(Covariate("weight"), Covariate("sex", "M", "F")),
        covariate_scaling=Scaling((30.0, 0.5), (10.0, 0.5)),
    )
    network = architecture.build()
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return Model(network.eval(), card, choose("cpu", "float32"))


def test_a_number_with_covariates() -> None:
    model, image = age_model(), photo(32, 1)
    page = open_network(model, image, known={"weight": 42.0, "sex": "F"})
    stages = numbers_of(opened_page(page, "es"))["stages"]
    beside = torch.tensor([[1.2, -1.0]])
    expected = with_hooks(model.network, (entering(image), beside), 0)
    for stage in stages:
        if stage["name"] in expected and stage["kind"] != "concatenation":
            values, gradients = (each.reshape(stage["shape"]).numpy() for each in expected[stage["name"]])
            np.testing.assert_allclose(
                floats(stage["values"]), values[stage["channels"]], rtol=1e-6, atol=1e-6
            )
            np.testing.assert_allclose(
                floats(stage["gradients"]), gradients[stage["channels"]], rtol=1e-6, atol=1e-6
            )
    covariates = next(stage for stage in stages if stage["name"] == "covariates")
    np.testing.assert_allclose(floats(covariates["values"]).ravel(), beside[0], rtol=1e-6)
    said = model.predict([image], known={"weight": 42.0, "sex": "F"})
    assert page.reading.rows[0].read == pytest.approx(said.outputs[0, 0], rel=1e-6)
    assert page.reading.rows[0].read == pytest.approx(page.reading.rows[0].output * 41 + 127)
    assert page.reading.scale == (127.0, 41.0) and page.reading.unit == "months"


@pytest.mark.parametrize(("target", "sign"), [("a", -1), ("b", 1)])
def test_one_output_for_two_classes(target: str, sign: int) -> None:
    model, image = model_of("lenet5", 1, 32, outputs=1), photo(32, 1)
    page = open_network(model, image, target=target)
    assert page.stages[-1].gradients.item() == sign == page.reading.sign
    read = {row.name: row.read for row in page.reading.rows}
    assert read["b"] == pytest.approx(torch.sigmoid(model.network(entering(image)).double()).item(), rel=1e-6)
    assert read["a"] + read["b"] == pytest.approx(1)


def test_refusals() -> None:
    model, image = model_of("lenet5", 1, 32), photo(32, 1)
    with pytest.raises(InvalidArgument, match='no class "z"'):
        open_network(model, image, target="z")
    both = Model(model.network, model.card, model.compute, (Member(model.network, model.card),) * 2)
    with pytest.raises(InvalidArgument, match="An ensemble of 2 networks"):
        open_network(both, image)


# What the script makes of the numbers, in a browser -------------------------------------------------------------------


def in_browser(html: str, file: Path, place: str, *options: str) -> str:
    """The page's elements after its script has opened a neuron, without a network."""
    file.write_text(html, encoding="utf-8")
    done = subprocess.run(
        [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={file.parent / 'profile'}",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=4000", *options, "--dump-dom", f"file://{file}#{place}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


def named(part: str, name: str) -> list[float]:
    return [
        float(value) for value in re.findall(rf'<data class="n" value="([^"]+)" data-name="{name}">', part)
    ]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, to run the page's script")
@pytest.mark.parametrize(
    "kind", ["convolution", "dense", "norm", "rectifier", "maximum", "average", "sum", "taken"]
)
def test_the_script_writes_out_both_sums(kind: str, tmp_path: Path) -> None:
    name = {"dense": "lenet5", "maximum": "lenet5"}.get(kind, "resnet20")
    channels, size, options = CASES[name]
    model = model_of(name, channels, size, **options)
    page = open_network(model, photo(size, channels))
    number, stage = next(
        (number, stage)
        for number, stage in enumerate(page.stages)
        if stage.formula.kind == kind and number > 2
    )
    c, (y, x) = stage.channels[-1], (stage.corner[0] + stage.values.shape[1] // 2, stage.corner[1])
    dom = in_browser(opened_page(page, "en"), tmp_path / "page.html", f"n={number},{c},{y},{x}")
    formula = dom[dom.index('id="formula"') : dom.index("</section>", dom.index('id="formula"'))]
    forward, backward = formula.split("<h5>")[1:3]
    k, row, column = len(stage.channels) - 1, y - stage.corner[0], x - stage.corner[1]
    value, gradient = float(stage.values[k, row, column]), float(stage.gradients[k, row, column])
    assert named(forward, "result") == [value]
    assert named(backward, "result") == [gradient]
    for part, total in ((forward, value), (backward, gradient)):
        terms = [each for key in ("term", "more", "rest", "bias") for each in named(part, key)]
        if terms:
            assert sum(terms) == pytest.approx(total, rel=1e-5, abs=1e-6)
    if stage.shape[1] > 1:
        top, bottom, left, right = map(
            int, re.search(r'data-box="([-\d,]+)"', dom[dom.index('id="field"') :])[1].split(",")
        )
        if "." in stage.name and kind != "sum":
            seen = map_geometry(model.network, stage.name).seen((y, x))
            assert (top, left, bottom + 1, right + 1) == pytest.approx(seen)
    if name == "lenet5":
        assert not named(forward, "rest") and not named(backward, "rest")  # nothing is left out


# What follows a step that takes more than a sum of products: its network, and which of its inputs is looked at.
BEFORE = {
    "response": ("layers", 3, 24, {"layers": "conv 8 k3 p1; relu; lrn; pool k2; gap"}, 0),
    "distance": ("lenet5_1998", 1, 32, {}, 0),
    "moved": ("bonet_simple", 1, 40, {"deformation": True}, 0),
    "moved by": ("bonet_simple", 1, 40, {"deformation": True}, 1),
}


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, to run the page's script")
@pytest.mark.parametrize("case", BEFORE)
def test_the_script_goes_through_it_both_ways(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forwards at the step itself, backwards at what enters it, where the page has all channels and places."""
    monkeypatch.setitem(TABLE, "bonet_simple", ((7, 5), (4, 8), "average_dense"))  # so that it has
    name, channels, size, options, entry = BEFORE[case]
    page = open_network(model_of(name, channels, size, **options), photo(size, channels))
    html = opened_page(page, "en")
    number, stage = next(
        (number, stage) for number, stage in enumerate(page.stages) if stage.formula.kind == case.split()[0]
    )
    c, y, x = stage.channels[-1], *(side // 2 for side in stage.shape[1:])
    forward = in_browser(html, tmp_path / "page.html", f"n={number},{c},{y},{x}").split("<h5>")[1]
    (value,) = named(forward, "result")
    assert value == float(stage.values[-1, y, x])
    if case == "response":
        (energy,), (scale,), (beta,) = (named(forward, key) for key in ("energy", "scale", "beta"))
        assert sum(named(forward, "square")) == pytest.approx(energy, rel=1e-5)
        assert named(forward, "part")[0] / scale**beta == pytest.approx(value, rel=1e-6)
    else:
        terms = named(forward, "term") + named(forward, "more")
        assert sum(terms) == pytest.approx(value, rel=1e-4, abs=1e-6)
    into = page.stages[stage.inputs[entry]]
    k, y, x = np.unravel_index(np.abs(into.gradients).argmax(), into.gradients.shape)
    dom = in_browser(html, tmp_path / "page.html", f"n={stage.inputs[entry]},{into.channels[k]},{y},{x}")
    backward = dom.split("<h5>")[2].split("</section>")[0]
    gradient = float(into.gradients[k, y, x])
    assert named(backward, "result") == [gradient] != [0.0]
    assert not named(backward, "rest")
    assert sum(named(backward, "term") + named(backward, "more")) == pytest.approx(gradient, rel=1e-4)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, to lay the page out")
@pytest.mark.parametrize(("scheme", "dark"), [(0, "true"), (1, "false")])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_the_screen(
    width: int, scheme: int, dark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With formulas open, in light and dark: nothing but a table in its own scroll bar is wider than the page."""
    monkeypatch.setitem(TABLE, "bonet_simple", ((7, 5), (4, 8), "average_dense"))
    name, channels, size, options, _ = BEFORE["moved"]
    page = open_network(model_of(name, channels, size, **options), photo(size, channels))
    number = next(n for n, stage in enumerate(page.stages) if stage.formula.kind == "moved")
    told = (
        "parent.postMessage(`${document.documentElement.scrollWidth} of ${innerWidth}, ${dark.matches}, "
        "${getComputedStyle(document.body).backgroundColor}, ${formula.querySelectorAll('data').length}`, '*')"
    )
    html = re.sub(r"; script-src '[^']*'", "; script-src 'unsafe-inline'", opened_page(page, "es"))
    inner = tmp_path / "inner.html"
    inner.write_text(html.replace("</body>", f"<script>{told}</script></body>"), encoding="utf-8")
    frame = (
        "<!DOCTYPE html><html><body><p id='said'></p><script>"
        "addEventListener('message', (event) => { document.querySelector('#said').textContent = event.data; });"
        f"</script><iframe src='{inner.as_uri()}#n={number},0,4,4' width='{width}' height='900'></iframe></body></html>"
    )
    dom = in_browser(frame, tmp_path / "page.html", "", f"--blink-settings=preferredColorScheme={scheme}")
    found = re.search(r"(\d+) of (\d+), (\w+), rgb\((\d+), .*?\), (\d+)<", dom)
    assert found and int(found[1]) <= int(found[2]) == width
    assert found[3] == dark and (int(found[4]) < 64) == (dark == "true") and int(found[5]) > 20


@pytest.mark.parametrize("name", ["opened", "opened_script", "opened_kinds"])
def test_both_languages_say_the_same_things(name: str) -> None:
    english, spanish = (sentences_of(name, language) for language in LANGUAGES)
    assert list(english) == list(spanish)
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", spanish[key])), key


@pytest.mark.parametrize("name", ["opened", "opened_script"])
def test_every_sentence_is_used(name: str) -> None:
    sources = [*TEMPLATES.glob("opened.*"), TEMPLATES.parent / "opened.py"]
    text = "".join(file.read_text(encoding="utf-8") for file in sources)
    used = {key for key in sentences_of(name, "en") if re.search(rf"\b{key}\b", text)}
    readings = {f"reading_{how}" for how in ("softmax", "sigmoid", "number")}  # put together in the template
    assert sentences_of(name, "en").keys() - used - readings == set()
