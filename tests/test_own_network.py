"""A module of one's own: trained, kept, loaded beside its class, explained; and every odd one in a sentence."""

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

import mirada
from mirada.cli import run as run_line
from mirada.data.examples.shapes import write_shapes
from mirada.errors import CheckpointError, InvalidArgument, RecipeError, TrainingError
from mirada.explain.explainable import Explainable
from mirada.explain.explanation import explain
from mirada.inference.similar import load_training_features
from mirada.jobs.explanations import Judging, judge_explanations
from mirada.jobs.opened import open_network
from mirada.jobs.rate import find_rate
from mirada.layers.own import own_network
from mirada.modelfile import load_network
from mirada.training import loop
from mirada.training.failed_step import replay

pytestmark = pytest.mark.usefixtures("module_cache")
QUICK: dict[str, Any] = {
    "epochs": 2, "image_size": 32, "batch_size": 16, "device": "cpu", "precision": "float32", "augment": "none",
}  # fmt: skip


class Block(nn.Module):
    """A residual block, as torchvision has it."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + self.downsample(x))


class Residual(nn.Module):
    """A small network written as torchvision's are: parts by name, the flattening a function."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1)
        self.layer1 = nn.Sequential(Block(8, 8, 1))
        self.layer2 = nn.Sequential(Block(8, 16, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(self.conv1(x).relu()))), 1))


class Plain(nn.Module):
    """The names of its parts are those of a network's methods and attributes; dropout is a function."""

    def __init__(self, outputs: int = 4, given: Callable[[Tensor], Any] = lambda outputs: outputs) -> None:
        super().__init__()
        self.classifier = nn.Linear(6, outputs)
        self.features = nn.Conv2d(3, 6, 3)
        self.depth = nn.ReLU()
        self.given = given

    def forward(self, x: Tensor) -> Any:
        maps = nn.functional.dropout(self.depth(self.features(x)), 0.5, training=self.training)
        return self.given(self.classifier(maps.mean(dim=(2, 3))))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, count=60, size=32)
    return root


def made(kind: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return kind()


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> mirada.Run:
    return mirada.train(shapes, model=made(Residual), output=tmp_path_factory.mktemp("runs") / "own", **QUICK)


def image_of(shapes: Path) -> Path:
    return min((shapes / "test").rglob("*.png"))


def test_it_trains_and_is_loaded_beside_its_class(run: mirada.Run, shapes: Path) -> None:
    """The tensors have the module's own names, so that they go into the module without Mirada, too."""
    model = mirada.load_model(run.model_path, network=made(Residual, seed=9))
    table = model.predict([image_of(shapes)])
    bare = made(Residual, seed=5)
    bare.load_state_dict(load_file(run.model_path), strict=True)
    pixels = np.asarray(Image.open(image_of(shapes)).convert("RGB"), dtype=np.float64) / 255
    pre = model.card.preprocessing
    tensor = torch.from_numpy((pixels - pre.mean) / pre.std).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected = model.card.read_outputs(bare.eval()(tensor)).numpy()
    np.testing.assert_allclose(table.outputs, expected, atol=1e-6)
    assert (model.card.architecture.model, dict(model.card.architecture.options)) == (
        "module", {"class_name": "Residual"},
    )  # fmt: skip
    kept = run.predictions
    assert kept is not None
    again = model.predict(mirada.load_data(shapes)).of_split("test")
    np.testing.assert_allclose(again.outputs, kept.of_split("test").outputs, atol=1e-6)


def test_the_module_stays_as_it_was_and_the_seed_decides(
    run: mirada.Run, shapes: Path, tmp_path: Path
) -> None:
    module = made(Residual).eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    again = mirada.train(shapes, model=module, output=tmp_path / "again", **QUICK)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not module.training
    first, second = load_file(run.model_path), load_file(again.model_path)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    moved = [name for name in first if not torch.equal(first[name], before[name])]
    assert len(moved) > len(first) / 2


def test_without_its_class_there_is_one_sentence(run: mirada.Run, shapes: Path, capsys: Any) -> None:
    sentence = (
        r"^\S+model\.safetensors: holds the weights of a module of one's own, Residual, which only its class builds\. "
        r"Load it in Python: mirada\.load_model\(file, network=Residual\(…\)\)\.$"
    )
    with pytest.raises(InvalidArgument, match=sentence):
        mirada.load_model(run.model_path)
    for verb in (["predict"], ["explain"], ["evaluate"], ["units", "--filters"], ["summary"], ["learn"]):
        data = (
            []
            if verb[0] in ("units", "summary")
            else [str(shapes if verb[0] not in ("predict", "learn") else image_of(shapes))]
        )
        capsys.readouterr()
        assert run_line([verb[0], str(run.model_path), *data, *verb[1:]]) == 2, verb
        said = capsys.readouterr().err
        assert (
            "a module of one's own, Residual, which only its class builds" in said and said.count("\n") == 1
        )
    assert run_line(["train", str(shapes), "--recipe", str(run.folder), "--output", "again"]) == 2


def test_it_is_not_cut(run: mirada.Run, shapes: Path, capsys: Any) -> None:
    assert run_line(["surgery", str(run.model_path), str(shapes)]) == 2
    said = capsys.readouterr().err
    assert "Residual, of which nobody knows in which order its parts run, so it is not cut. Give it" in said


def test_it_is_opened_on_a_photo(run: mirada.Run, shapes: Path) -> None:
    """Its layers by its own names, its functions as their layers, and what it answers."""
    model = mirada.load_model(run.model_path, network=Residual())
    page = open_network(model, image_of(shapes))
    names = [stage.name for stage in page.stages]
    assert page.network == "Residual" and "Residual" in page.drawing
    assert {"conv1", "layer2.0.downsample.0", "avgpool", "fc"} <= set(names)
    assert "other" not in {stage.formula.kind for stage in page.stages}
    (answer,) = model.predict([image_of(shapes)]).outputs
    read = {row.name: row.read for row in page.reading.rows}
    assert [read[name] for name in model.card.target.names] == pytest.approx(answer.tolist(), rel=1e-5)


class Breaking(Plain):
    """Its outputs are no numbers once its weights have moved."""

    def forward(self, x: Tensor) -> Any:
        outputs = super().forward(x)
        return outputs / (self.classifier.bias == 0).all()


def test_its_failed_step_is_taken_again_in_python(shapes: Path, tmp_path: Path, capsys: Any) -> None:
    """On the command line one sentence says how; in Python it ends at the same place."""
    module = made(Breaking)
    nn.init.zeros_(module.classifier.bias)
    with pytest.raises(TrainingError, match="in step 2 the first number that is not finite"):
        mirada.train(shapes, model=module, output=tmp_path / "run", **QUICK)
    file = tmp_path / "run" / "failed-step.safetensors"
    assert run_line(["train", "--replay", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "mirada.training.failed_step.replay(file, model=Breaking(…))" in said and said.count("\n") == 1
    step, place = replay(file, model=made(Breaking, seed=7))
    assert (step.step, place) == (2, step.place) and place
    with pytest.raises(CheckpointError, match="The state is"):
        replay(file, model=Residual())


def test_the_run_can_be_read(run: mirada.Run) -> None:
    record = json.loads((run.folder / "model.json").read_text(encoding="utf-8"))
    assert record["name"] == "Residual"
    assert "layer2.0.conv1" in record["summary"]
    assert run_line(["report", str(run.folder)]) == 0
    assert (run.folder / "features.npz").exists()


def test_it_is_explained_at_its_own_names(run: mirada.Run, shapes: Path) -> None:
    model = mirada.load_model(run.model_path, network=Residual())
    (usual,) = model.explain([image_of(shapes)])
    assert (usual.layer, usual.method.key, usual.map.shape) == ("layer2", "grad_cam", (8, 8))
    assert "avgpool keeps no places" in usual.remark
    for layer in ("layer1", "layer1.0.conv2", "conv1"):
        (found,) = model.explain([image_of(shapes)], layer=layer)
        assert (found.layer, found.map.shape) == (layer, (16, 16))
    (whole,) = model.explain([image_of(shapes)], method="integrated_gradients")
    assert whole.map.shape == (32, 32)
    with pytest.raises(InvalidArgument, match=r'There is no layer "layer3"\. Did you mean "layer[12]"\?'):
        list(model.explain([image_of(shapes)], layer="layer3"))


def test_its_explanations_are_judged_and_similar_images_found(run: mirada.Run, shapes: Path) -> None:
    """Its parts are drawn again by their own names; features are what enters its last linear layer."""
    model = mirada.load_model(run.model_path, network=Residual())
    index = mirada.load_data(shapes)
    judged = judge_explanations(model, index.take(index.rows("test")), Judging(sample=4))
    tests = [verdict.test for verdict in judged.page.verdicts]
    assert "Parameter randomisation" in tests and judged.page.layer == "layer2"
    features = load_training_features(run.folder / "features.npz", run.model_path)
    assert features.features.shape == (40, 16)  # the training images, the inputs of fc


def test_grad_cam_of_a_module_is_the_formula(shapes: Path) -> None:
    """The sum over places of the gradient, times the maps, by torch's own autograd."""
    module = made(Residual).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = explain(Explainable(module), images, [1, 2], layer="layer2", method="grad_cam")
    maps = module.layer2(module.layer1(module.conv1(images).relu())).detach().requires_grad_()
    outputs = module.fc(module.avgpool(maps).flatten(1))
    (gradient,) = torch.autograd.grad(outputs[0, 1] + outputs[1, 2], maps)
    expected = (gradient.sum(dim=(2, 3), keepdim=True) * maps.detach()).sum(dim=1)
    np.testing.assert_allclose(found.maps, expected.numpy(), atol=1e-6)


def test_parts_are_explained_in_the_order_in_which_they_run(shapes: Path) -> None:
    """``Plain`` defines its classifier first; and one child that holds everything is opened."""
    images = torch.randn(1, 3, 16, 16)
    assert explain(Explainable(Plain()), images).layer == "depth"
    inner = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    assert explain(Explainable(nn.Sequential(inner)), images).layer == "0.1"


@pytest.mark.parametrize("average", ["none", "ema"])
def test_names_of_ones_own_do_not_collide(shapes: Path, tmp_path: Path, average: str) -> None:
    run = mirada.train(shapes, model=made(Plain), average=average, output=tmp_path / "run", **QUICK)
    model = mirada.load_model(run.model_path, network=Plain())
    (found,) = model.explain([image_of(shapes)], layer="features")
    assert found.map.shape == (30, 30)


def test_functional_layers_hear_of_the_mode() -> None:
    """Dropout of ``Plain`` acts in training alone, also after the network was judged for a moment."""
    network, images = own_network(Plain(), in_channels=3, image_size=(8, 8)), torch.randn(4, 3, 8, 8)
    with mirada_evaluating(network):
        assert torch.equal(network(images), network(images))
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def mirada_evaluating(network: nn.Module) -> Any:
    from mirada.layers.modes import evaluating

    return evaluating(network)


class Tied(nn.Module):
    """Two layers of the same weight, a buffer that is no number anywhere, and a hook."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.second.weight = self.first.weight
        self.register_buffer("mask", torch.full((2,), -float("inf")))
        self.fc = nn.Linear(3, 4)
        self.calls = 0
        self.register_forward_hook(count)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.second(self.first(x).relu()).mean(dim=(2, 3)))


def count(module: Any, _inputs: Any, _output: Any) -> None:
    module.calls += 1


def test_shared_tensors_and_hooks(shapes: Path, tmp_path: Path) -> None:
    run = mirada.train(shapes, model=made(Tied), output=tmp_path / "run", **QUICK)
    model = mirada.load_model(run.model_path, network=Tied())
    inner = model.network.get_submodule("first").weight
    assert inner is model.network.get_submodule("second").weight
    table = model.predict(mirada.load_data(shapes)).of_split("test")
    assert run.predictions is not None
    np.testing.assert_allclose(table.outputs, run.predictions.of_split("test").outputs, atol=1e-6)


def test_a_module_is_taken_up_where_it_was_stopped(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its class, to the bit, also where a buffer is infinite; without it, in one sentence."""
    whole = mirada.train(shapes, model=made(Tied), output=tmp_path / "whole", **QUICK)
    take, count_of = loop.fitting_step, iter(range(1, 1000))

    def pressing(*arguments: Any, **named: Any) -> Any:
        if next(count_of) == 3:
            signal.raise_signal(signal.SIGINT)
        return take(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "fitting_step", pressing)
        stopped = mirada.train(shapes, model=made(Tied), output=tmp_path / "run", **QUICK)
    assert stopped.outcome.reason == "interrupted"
    assert len(list((stopped.folder / "checkpoints").glob("state-*"))) == 1
    with pytest.raises(
        InvalidArgument, match=r"^The network is a module of one's own, .*which only its class builds"
    ):
        mirada.resume(stopped.folder)
    ended = mirada.resume(stopped.folder, model=made(Tied))
    assert isinstance(ended, mirada.Run)
    first, second = load_file(whole.model_path), load_file(ended.model_path)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.LazyLinear(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))


def test_lazy_layers_get_their_sizes_from_the_first_pass(shapes: Path, tmp_path: Path) -> None:
    first, second = (
        mirada.train(shapes, model=Lazy(), output=tmp_path / name, **QUICK) for name in ("one", "two")
    )
    one, two = load_file(first.model_path), load_file(second.model_path)
    assert one["fc.weight"].shape == (4, 3 * 32 * 32) and torch.equal(one["fc.weight"], two["fc.weight"])
    assert len(mirada.load_model(first.model_path, network=Lazy()).predict([image_of(shapes)])) == 1


class Locked(Residual):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Stateful(Residual):
    def get_extra_state(self) -> dict[str, int]:
        return {"seen": 3}

    def set_extra_state(self, state: Any) -> None:
        pass


def frozen() -> nn.Module:
    return Residual().requires_grad_(False)


def with_a(dtype: torch.dtype) -> nn.Module:
    """With a buffer of a type."""
    module = Residual()
    module.register_buffer("filter", torch.zeros(2).to(dtype))
    return module


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return Residual()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (lambda: nn.Flatten(), r"^Flatten has no parameters, so there is nothing to train\.$"),
        (frozen, r"^Residual has no parameters that require a gradient"),
        (on_meta, r"^Residual: the parameter conv1\.weight is on the device meta, where it has no values"),
        (lambda: Residual().double(), r"^Residual: the parameter conv1\.weight must be float32\. Got float64; call"),
        (lambda: Plain(given=lambda outputs: (outputs, 1)), r"^Plain must put out one tensor, .* Got a tuple;"),
        (lambda: Plain(given=lambda outputs: {"logits": outputs}), r"^Plain must put out one tensor.* Got a dict;"),
        (lambda: Plain(given=lambda outputs: outputs[:, 0]), r"^Plain must make outputs \(N, outputs\).* Got \(2,\)"),
        (lambda: Plain(given=lambda outputs: outputs.argmax(1, True)), r"^Plain must make .* \(2, 1\), int64"),
        (lambda: Plain(given=lambda outputs: outputs[:1]), r"^Plain must make outputs .* Got \(1, 4\), float32"),
        (lambda: nn.Linear(7, 4), r"^Linear cannot take images of 3 × 32 × 32 pixels \(.*\)\. Set image_size and mode"),
        (lambda: nn.Conv2d(1, 4, 3), r"^Conv2d cannot take images of 3 × 32 × 32 pixels \(.*channels.*\)\."),
        (Locked, r"^Locked cannot be copied, which training begins with \(.*lock.*\)\.$"),
        (lambda: with_a(torch.complex64), r"^Residual: its state has filter, of the type complex64, which no"),
        (lambda: with_a(torch.uint16), r"^Residual: its state has filter, of the type uint16, which no"),
        (Stateful, r"^Stateful: its state has _extra_state, a dict, and a model file holds tensors alone\.$"),
        (lambda: Residual(3), r"^Residual puts out 3 numbers per image, and these data need 4"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_said_in_a_sentence(
    shapes: Path, tmp_path: Path, kind: Callable[[], nn.Module], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        mirada.train(shapes, model=kind(), output=tmp_path / "run", **QUICK)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_another_output_in_training_is_said(shapes: Path, tmp_path: Path) -> None:
    """As torchvision's Inception has it, which puts out two tensors in training."""

    class Auxiliary(Plain):
        def forward(self, x: Tensor) -> Any:
            outputs = super().forward(x)
            return (outputs, outputs) if self.training else outputs

    with pytest.raises(InvalidArgument, match=r"^Auxiliary must put out one tensor.* in training as well\.$"):
        mirada.train(shapes, model=Auxiliary(), output=tmp_path / "run", **QUICK)


def test_a_class_is_no_module(shapes: Path) -> None:
    with pytest.raises(
        InvalidArgument, match=r"^`model` must be a name or a torch\.nn\.Module\. Got the class Residual;"
    ):
        mirada.train(shapes, model=Residual)  # type: ignore[arg-type]


@pytest.mark.parametrize("outputs", [1, 2])
def test_two_classes_by_one_output_or_two(tmp_path: Path, outputs: int) -> None:
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (16, 16), (level + number, level, level)).save(
                tmp_path / "photos" / name / f"{number}.png"
            )
    settings = {**QUICK, "image_size": 16, "batch_size": 4}
    run = mirada.train(
        tmp_path / "photos", model=made(lambda: Plain(outputs)), output=tmp_path / "run", **settings
    )
    model = mirada.load_model(run.model_path, network=Plain(outputs))
    assert model.card.architecture.outputs == outputs
    assert model.predict([tmp_path / "photos" / "dark" / "0.png"]).outputs.shape == (1, 2)


class Beside(nn.Module):
    """Reads numbers beside the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(5, 1)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        return self.fc(torch.cat((self.conv(x).relu().mean(dim=(2, 3)), beside), dim=1))


def test_covariates_are_the_second_argument(tmp_path: Path) -> None:
    rows = ["file,age,weight"]
    for number in range(30):
        Image.new("RGB", (16, 16), (8 * number, 0, 0)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{8 * number},{number % 5}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    data = mirada.load_data(tmp_path / "table.csv", target="age", covariates=["weight"])
    settings = {**QUICK, "image_size": 16, "batch_size": 8}
    run = mirada.train(data, model=made(Beside), output=tmp_path / "run", **settings)
    model = mirada.load_model(run.model_path, network=Beside())
    assert len(model.predict([tmp_path / "3.png"], known={"weight": 3})) == 1
    with pytest.raises(
        InvalidArgument, match=r"^Plain cannot take images of .* with 1 covariate as its second argum"
    ):
        mirada.train(data, model=Plain(1), output=tmp_path / "other", **settings)


def test_folds_and_seeds_of_a_module(shapes: Path, tmp_path: Path) -> None:
    data = mirada.load_data(shapes)
    data = data.take(data.rows("train"))
    folds = mirada.cross_validate(data, folds=2, model=made(Plain), output=tmp_path / "folds", **QUICK)
    model = mirada.load_model(folds.ensemble_path, network=Plain())
    assert len(model.members) == 2
    first, second = (member.network.state_dict()["features.weight"] for member in model.members)
    assert not torch.equal(first, second)
    seeds = mirada.train_seeds(data, seeds=2, model=made(Plain), output=tmp_path / "seeds", **QUICK)
    assert seeds.complete


def test_parts_by_name_are_frozen(shapes: Path, tmp_path: Path) -> None:
    module = made(Residual)
    run = mirada.train(shapes, model=module, freeze=["conv1", "layer1"], output=tmp_path / "run", **QUICK)
    kept, before = load_file(run.model_path), module.state_dict()
    same = {name for name in kept if torch.equal(kept[name], before[name])}
    assert {name for name in kept if name.startswith(("conv1", "layer1"))} <= same
    assert "fc.weight" not in same and "layer2.0.conv1.weight" not in same


@pytest.mark.parametrize(
    "settings", [{"freeze": ["all"]}, {"thaw": ["all"]}, {"thaw": ["progressive"], "epochs": 5}]
)
def test_all_but_the_last_part_is_frozen(shapes: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    module = made(Residual)
    run = mirada.train(shapes, model=module, output=tmp_path / "run", **{**QUICK, **settings})
    kept, before = load_file(run.model_path), module.state_dict()
    moved = {name.partition(".")[0] for name in kept if not torch.equal(kept[name], before[name])}
    assert (
        moved == {"fc"} if "freeze" in settings else moved >= {"fc"}
    )  # the best epoch may be before the thaw
    assert own_network(module, in_channels=3, image_size=(32, 32)).trunk() == ("conv1", "layer1", "layer2")


def test_it_trains_with_what_else_a_recipe_can_say(shapes: Path, tmp_path: Path) -> None:
    """In slices, averaged, weighted, on mixed and mirrored images, at the precision of the machine."""
    more = {
        "micro_batch": 4, "average": "ema", "flip_average": True, "class_weights": "balanced", "clip": 1.0,
        "augment": {"mixup": 0.2, "horizontal_flip": True}, "precision": "auto",
    }  # fmt: skip
    run = mirada.train(shapes, model=made(Residual), output=tmp_path / "run", **{**QUICK, **more})
    model = mirada.load_model(run.model_path, network=Residual())
    (found,) = model.explain([image_of(shapes)])
    assert found.layer == "layer2" and "mirror image" in found.title


def test_a_file_and_a_module_that_do_not_go_together(run: mirada.Run, shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"its weights do not fit the Plain that was given: the file has"
    ):
        mirada.load_model(run.model_path, network=Plain())
    with pytest.raises(
        CheckpointError, match=r"do not fit the Residual that was given: it puts out 3 numbers per image"
    ):
        mirada.load_model(run.model_path, network=Residual(3))
    other = mirada.train(shapes, model="layers", layers="flatten", output=tmp_path / "run", **QUICK)
    with pytest.raises(
        InvalidArgument, match=r"layers, which the file itself builds\. Leave `network` out\.$"
    ):
        mirada.load_model(other.model_path, network=Plain())
    assert load_network(other.model_path).card.architecture.model == "layers"


def test_summarize_takes_it_as_it_is() -> None:
    summary = mirada.summarize(Residual(), (3, 32, 32))
    assert summary.parameters == sum(value.numel() for value in Residual().parameters())
    assert "Residual" in str(summary)


def test_a_network_of_the_catalogue_goes_the_same_way(shapes: Path, tmp_path: Path) -> None:
    """As an object it is a module like any other: its name and options are not known."""
    network = mirada.create_model("lenet5", num_classes=4, in_channels=3, image_size=32)
    run = mirada.train(shapes, model=network, output=tmp_path / "run", **QUICK)
    other = mirada.create_model("lenet5", num_classes=4, in_channels=3, image_size=32)
    model = mirada.load_model(run.model_path, network=other)
    (found,) = model.explain([image_of(shapes)])
    assert found.layer == "stage1"


def test_the_rate_of_a_module_is_tried_out(shapes: Path) -> None:
    settings = {key: value for key, value in QUICK.items() if key != "epochs"}
    found = find_rate(mirada.load_data(shapes), model=made(Plain), **settings)
    assert len(found.rates) > 10


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's own, where it compiles
def test_what_has_wrapped_a_module_is_taken_off() -> None:
    """A compiled module has other names; what is kept has the module's own."""
    for wrapper in (torch.compile, nn.DataParallel):
        network = own_network(wrapper(Plain()), in_channels=3, image_size=(8, 8))
        assert network.name == "Plain"
        assert network.state_dict().keys() == Plain().state_dict().keys()


def test_all_parts_frozen_leave_nothing_to_learn(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^freeze: nothing is left to learn"):
        mirada.train(
            shapes, model=Plain(), freeze=["features", "classifier"], output=tmp_path / "run", **QUICK
        )
