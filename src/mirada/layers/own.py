"""Any ``torch.nn.Module`` that makes outputs of images, as a network that can be trained, kept and explained."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mirada.errors import CheckpointError, InvalidArgument, counted
from mirada.layers.modes import evaluating
from mirada.layers.network import Network, Size
from mirada.text import shortened

SHARED = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")  # what a module is made of
TRIED = 2  # images of the first pass: one alone would hide a module that mixes them
LONGEST = 200  # characters of a foreign message
KEPT = (  # of tensors that checkpoints hold
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip
WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)


class OwnNetwork(Network):
    """A module of one's own with what training and explaining ask of a network; ``own_network`` makes one.

    Its parameters, its buffers and its children are those of the module, under the module's own names, so that a
    model file holds what the module's ``load_state_dict`` takes. Its forward pass is the module's, hooks included.

    Args:
        module: It runs whole, and is changed by training.
        in_channels: Channels of an image.
        image_size: (height, width) in pixels.
        covariates: How many numbers it reads beside an image, as the second argument of its forward pass.

    Attributes:
        outputs: Numbers that it puts out per image, once it was tried.
    """

    module: nn.Module

    def __init__(self, module: nn.Module, *, in_channels: int, image_size: Size, covariates: int = 0) -> None:
        object.__setattr__(self, "module", module)  # not as a child: the children are the module's own
        super().__init__(
            stem=nn.Identity(),
            stages=(),
            head=nn.Identity(),
            in_channels=in_channels,
            image_size=image_size,
            min_size=1,
        )
        for key in SHARED:
            vars(self)[key] = vars(module)[key]
        self.name = type(module).__name__
        self.covariates = covariates
        self.outputs = 0
        self.reading = ""

    @property
    def training(self) -> bool:
        """The mode of the module, which may have layers beside its children, such as functional dropout."""
        return self.module.training

    @training.setter
    def training(self, mode: bool) -> None:
        """Sets the module's mode."""
        self.module.training = mode

    def alone(self) -> nn.Module:
        """The module itself, for images (N, C, H, W) alone: covariates, if it reads any, are 0."""
        return _WithZeros(self.module, self.covariates) if self.covariates else self.module

    def get_submodule(self, target: str) -> nn.Module:
        """A layer by its dotted name; "" is the whole network."""
        return self.module.get_submodule(target) if target else self

    def parts(self) -> tuple[str, ...]:
        """None: nobody but the module knows in which order its layers run."""
        return ()

    def trunk(self) -> tuple[str, ...]:
        """The children that have learnt something where training starts from weights.

        Returns:
            All with parameters, but the one that the last layer with weights is in.
        """
        last = self.reading.partition(".")[0]
        return tuple(name for name, part in self.named_children() if name != last and list(part.parameters()))

    def auxiliary_heads(self) -> dict[str, nn.Module]:
        """None."""
        return {}

    def features(self, images: Tensor) -> NoReturn:
        """Refused: see ``parts``. Raises ``InvalidArgument`` for images (N, C, H, W)."""
        self._refuse_parts()

    def forward_to(self, name: str, images: Tensor) -> NoReturn:
        """Refused: see ``parts``. Raises ``InvalidArgument`` for images (N, C, H, W)."""
        self._refuse_parts()

    def forward_from(self, name: str, maps: Tensor, covariates: Tensor | None = None) -> NoReturn:
        """Refused: see ``parts``. Raises ``InvalidArgument`` for maps (N, C, h, w)."""
        self._refuse_parts()

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """What the module makes of images (N, C, H, W), and of covariates (N, K) if it reads any: outputs (N, K′).

        Raises ``InvalidArgument`` if it puts out anything but one tensor.
        """
        self._require_covariates(covariates, len(images))
        if self.covariates and covariates is None:
            covariates = images.new_zeros(len(images), self.covariates)
        outputs = self.module(images) if covariates is None else self.module(images, covariates)
        if not isinstance(outputs, Tensor):
            raise InvalidArgument(
                f"{self.name} must put out one tensor, (N, outputs). Got a {type(outputs).__name__}; let its forward "
                "pass return the outputs alone, in training as well."
            )
        return outputs

    def training_outputs(
        self, images: Tensor, covariates: Tensor | None = None, *, after: str = ""
    ) -> list[Tensor]:
        """The outputs (N, K) alone, for images (N, C, H, W): there are no auxiliary heads."""
        if after:
            self._refuse_parts()
        return [self(images, covariates)]

    def take(self, tensors: Mapping[str, Tensor]) -> str:
        """Copies weights into the module's own tensors, so that those that are tied stay so.

        Args:
            tensors: Of any shape, by the module's names.

        Returns:
            Why one of them does not go into it, and nothing was copied; "" if all did.
        """
        own = self.state_dict()
        if odd := sorted(tensors.keys() ^ own.keys()):
            return f"the file {'has' if odd[0] in tensors else 'has no'} {shortened(odd[0])}"
        for name, value in tensors.items():
            if (value.shape, value.dtype) != (own[name].shape, own[name].dtype):
                return f"{name} is {tuple(value.shape)} in the file and {tuple(own[name].shape)} in it"
        for name, _ in self.named_parameters():  # of buffers some masks are infinite
            if not tensors[name].isfinite().all():
                return f"{name} holds numbers that are not finite in the file"
        self.load_state_dict(dict(tensors))
        return ""

    def _refuse_parts(self) -> NoReturn:
        raise InvalidArgument(
            f"{self.name} is a module of one's own, of which nobody knows in which order its parts run."
        )


class _WithZeros(nn.Module):
    """A module that reads ``count`` covariates as well, for images (N, C, H, W) whose covariates are all 0."""

    def __init__(self, module: nn.Module, count: int) -> None:
        super().__init__()
        self.module = module
        self.count = count

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.module(images, images.new_zeros(len(images), self.count))
        return outputs


def own_network(module: nn.Module, *, in_channels: int, image_size: Size, covariates: int = 0) -> OwnNetwork:
    """A copy of a module as a network, after a first pass of two black images; the module stays as it is.

    Args:
        module: Images (N, C, H, W), and covariates (N, K) if there are any, → outputs (N, K′).
        in_channels: Channels of an image.
        image_size: (height, width) in pixels.
        covariates: How many numbers it is to read beside an image.

    Returns:
        The network in training mode, with the weights that the module has.

    Raises:
        InvalidArgument: It cannot be copied or take the images, or what it puts out is no tensor (N, K′).
    """
    whole = _unwrapped(module)
    name = type(whole).__name__
    _require_values(whole, name)
    try:
        copied = deepcopy(whole)
    except Exception as error:  # whatever its attributes are
        raise InvalidArgument(
            f"{name} cannot be copied, which training begins with ({_said(error)})."
        ) from error
    network = OwnNetwork(copied, in_channels=in_channels, image_size=image_size, covariates=covariates)
    _try_out(network)
    _require_tensors(copied, name)
    return network.train()


def filled(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    outputs: int,
    in_channels: int,
    image_size: Size,
    covariates: int = 0,
) -> OwnNetwork:
    """A copy of a module as a network, with the weights of a file.

    Args:
        module: As for ``own_network``, as are those after ``outputs``.
        tensors: Of any shape, by the module's names.
        outputs: Numbers that the file's network puts out per image.
        in_channels: Channels of an image.
        image_size: (height, width) in pixels.
        covariates: How many numbers it reads beside an image.

    Raises:
        CheckpointError: The weights do not fit the module, or its outputs are others.
        InvalidArgument: As ``own_network`` raises it.
    """
    network = own_network(module, in_channels=in_channels, image_size=image_size, covariates=covariates)
    problem = f"it puts out {network.outputs} numbers per image, and the file's network {outputs}"
    if network.outputs != outputs or (problem := network.take(tensors)):
        raise CheckpointError(
            f"its weights do not fit the {network.name} that was given: {problem}. Build it as it was trained."
        )
    return network


def _unwrapped(module: nn.Module) -> nn.Module:
    """The module itself, of what ``torch.compile`` or a data-parallel wrapper has made of it."""
    while isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    inner = getattr(module, "_orig_mod", module)
    return inner if isinstance(inner, nn.Module) else module


def _require_values(module: nn.Module, name: str) -> None:
    """Raises ``InvalidArgument`` for weights without values, or of another type than float32."""
    for parameter, value in module.named_parameters():
        if is_lazy(value):
            continue
        if value.is_meta:
            raise InvalidArgument(
                f"{name}: the parameter {parameter} is on the device meta, where it has no values. Build the module "
                'on another one, or give it values: module.to_empty(device="cpu") and its own initialization.'
            )
        if value.dtype != torch.float32:
            raise InvalidArgument(
                f"{name}: the parameter {parameter} must be float32. Got {str(value.dtype).removeprefix('torch.')}; "
                "call module.float() first."
            )


def require_trainable(network: OwnNetwork) -> None:
    """Raises ``InvalidArgument`` for a module without weights that can learn, or that cannot run in training mode."""
    flags = [value.requires_grad for value in network.parameters()]
    if not any(flags):
        none = "no parameters that require a gradient" if flags else "no parameters"
        raise InvalidArgument(f"{network.name} has {none}, so there is nothing to train.")
    twin = deepcopy(network)  # whose statistics may change
    with torch.random.fork_rng(), torch.no_grad():
        _run(twin.train())


def _require_tensors(module: nn.Module, name: str) -> None:
    """Raises ``InvalidArgument`` for a state of other things than tensors, or of types that no checkpoint can hold."""
    state: dict[str, Any] = module.state_dict()
    if odd := [key for key, value in state.items() if not isinstance(value, Tensor)]:
        raise InvalidArgument(
            f"{name}: its state has {odd[0]}, a {type(state[odd[0]]).__name__}, and a model file holds tensors alone."
        )
    if odd := [key for key, value in state.items() if value.dtype not in KEPT]:
        raise InvalidArgument(
            f"{name}: its state has {odd[0]}, of the type {str(state[odd[0]].dtype).removeprefix('torch.')}, which no "
            "checkpoint holds. Keep it as real or whole numbers, or, if it never changes, register it with "
            "persistent=False."
        )


def _try_out(network: OwnNetwork) -> None:
    """One pass in eval mode, which says how many outputs there are and which layer reads the features last."""
    with evaluating(network), torch.no_grad(), _running(network) as ran:
        outputs = _run(network)
    network.outputs = outputs.shape[1]
    network.reading = next((layer for layer in reversed(ran) if ran.count(layer) == 1), "")


def _run(network: OwnNetwork) -> Tensor:
    """The outputs (N, K) for black images. Raises ``InvalidArgument`` if there are none, or others."""
    name, (height, width) = network.name, network.image_size
    device = next((value.device for value in network.parameters()), None)
    images = torch.zeros(TRIED, network.in_channels, height, width, device=device)
    told = f"{network.in_channels} × {height} × {width} pixels"
    if network.covariates:
        told += f" with {counted(network.covariates, 'covariate')} as its second argument"
    try:
        outputs: Tensor = network(images)
    except InvalidArgument:
        raise
    except Exception as error:  # a stranger's code
        mode = " in training" if network.training else ""
        raise InvalidArgument(
            f"{name} cannot take images of {told}{mode} ({_said(error)}). Set image_size and mode to what it was "
            "written for."
        ) from error
    if outputs.ndim != 2 or len(outputs) != TRIED or not outputs.is_floating_point():
        raise InvalidArgument(
            f"{name} must make outputs (N, outputs) of images (N, C, H, W), in floating point. Got "
            f"{tuple(outputs.shape)}, {str(outputs.dtype).removeprefix('torch.')}, of {TRIED} images."
        )
    return outputs


@contextmanager
def _running(network: OwnNetwork) -> Iterator[list[str]]:
    """Collects the names of the layers with weights that run, in order, of those that are called with a tensor."""
    ran: list[str] = []

    def keep(name: str) -> Any:
        return lambda _module, inputs: ran.append(name) if inputs and isinstance(inputs[0], Tensor) else None

    hooks = [
        layer.register_forward_pre_hook(keep(name))
        for name, layer in network.named_modules()
        if isinstance(layer, WEIGHTED)
    ]
    try:
        yield ran
    finally:
        for hook in hooks:
            hook.remove()


def _said(error: Exception) -> str:
    """What an error says, in one line that is not too long."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
