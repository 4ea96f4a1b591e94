"""From the calls of one run to the rows of a summary, and to the sentence on what its MACs leave out."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mirada.errors import InvalidArgument
from mirada.layers.own import OwnNetwork
from mirada.summary import kinds
from mirada.summary.memory import Memory, file_bytes
from mirada.summary.rules import Shape, without_batch
from mirada.summary.table import Row, Summary
from mirada.summary.trace import Call, Follower, Trace, trace
from mirada.summary.undrawn import named
from mirada.text import listed

STAGE = re.compile(r"stem|stage\d+|head")
NAMED = 3  # how many layers a list names before it says how many more there are

# fmt: off
PRODUCTS = frozenset({
    "addbmm", "addmm", "baddbmm", "bilinear", "bmm", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "dot", "einsum", "gru", "linear", "lstm", "matmul", "mm",
    "multi_head_attention_forward", "mv", "scaled_dot_product_attention", "tensordot",
})
NO_ARITHMETIC = frozenset({
    "arange", "broadcast_to", "cat", "chunk", "clone", "concat", "contiguous", "copy", "cpu", "cuda",
    "detach", "double", "dropout", "dropout1d", "dropout2d", "dropout3d", "empty", "empty_like",
    "expand", "expand_as", "flatten", "flip", "float", "full", "full_like", "gather", "get", "getitem",
    "half", "hsplit", "hstack", "index_select", "linspace", "movedim", "narrow", "new_empty",
    "new_full", "new_ones", "new_zeros", "ones", "ones_like", "pad", "permute", "pixel_shuffle",
    "repeat", "repeat_interleave", "reshape", "reshape_as", "roll", "select", "setitem", "split",
    "squeeze", "stack", "t", "tensor", "tensor_split", "tile", "to", "transpose", "type", "type_as",
    "unbind", "unflatten", "unfold", "unsqueeze", "view", "view_as", "vsplit", "vstack", "zeros",
    "zeros_like",
})
# fmt: on


def summarize(
    network: nn.Module | str, input_shape: Sequence[int] | None = None, *, depth: int | None = None
) -> Summary:
    """One row per layer of a network in the order in which they run when it predicts one image.

    MACs are multiply-adds for one image, biases excluded, of convolutions, transposed convolutions and linear layers.
    The module runs twice, in eval and in training mode, on no data, and is left as it was.

    Args:
        network: Any module, or one of ``list_models()``, as its paper has it. Of what torch.compile, DataParallel or
            DistributedDataParallel has wrapped, the inner network is summarized.
        input_shape: The image without the batch, (channels, height, width) in pixels; where it is left out, the
            network's own ``in_channels`` and ``image_size`` say it.
        depth: Puts the layers that share the first so many parts of their dotted names into one row; 1 gives the
            stages.

    Returns:
        The rows, their totals, and what the network takes in memory; ``print`` shows them as a table.

    Raises:
        InvalidArgument: There is no network of that name; the shape is missing or not made of integers ≥ 1; the depth
            is below 1; the module is scripted or has parameters without a shape; or the forward pass in eval mode
            fails, and the message then names the layer and the shape that reached it.

    >>> summarize(nn.Conv2d(3, 8, 3), (3, 32, 32)).macs
    194400
    """
    if isinstance(network, str):
        network = named(network)
    if depth is not None and (type(depth) is not int or depth < 1):
        raise InvalidArgument(
            f"`depth` of summarize must be an integer ≥ 1, or None for every layer. Got {depth!r}."
        )
    return followed(network, input_shape, depth=depth)


def followed(
    network: nn.Module,
    input_shape: Sequence[int] | None,
    follower: Follower | None = None,
    *,
    depth: int | None = None,
) -> Summary:
    """As ``summarize`` has it; ``follower`` is told of each step of the run in which the network predicts."""
    if not isinstance(network, nn.Module):
        raise InvalidArgument(
            f"`network` of summarize must be a torch.nn.Module or a name of list_models(). Got {network!r}."
        )
    network = kinds.unwrapped(network)
    shape = _image_shape(network, input_shape)
    if isinstance(network, OwnNetwork):
        network = network.alone()
    _require_readable(network)
    record = trace(network, shape, follower)
    rows = tuple(_rows(record))
    return Summary(
        network=_title(network),
        input_shape=shape,
        rows=rows if depth is None else tuple(_grouped(record, rows, depth)),
        stages=tuple(_stages(network, rows, record.calls)),
        memory=_memory(network, record),
        not_counted=tuple(_not_counted(record)),
    )


def _title(network: nn.Module) -> str:
    name = getattr(network, "name", "")
    return name if isinstance(name, str) and name else kinds.class_name(network)


def _image_shape(network: nn.Module, given: Sequence[int] | None) -> Shape:
    if given is None:
        channels, size = getattr(network, "in_channels", None), getattr(network, "image_size", None)
        if channels is None or not isinstance(size, Sequence):
            raise InvalidArgument(
                f"summarize cannot know the shape of the images: {kinds.class_name(network)} does not have "
                "both `in_channels` and `image_size` (height, width). Pass `input_shape`, such as (3, 224, 224)."
            )
        given = (channels, *size)
    shape = tuple(given) if isinstance(given, Sequence) else ()
    if not shape or not all(type(side) is int and side >= 1 for side in shape):
        raise InvalidArgument(
            "`input_shape` of summarize must be integers ≥ 1 without the batch, for example (3, 224, 224). "
            f"Got {given!r}."
        )
    return shape


def _require_readable(network: nn.Module) -> None:
    owner = kinds.class_name(network)
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise InvalidArgument(
            f"summarize cannot look inside {owner}: it is, or contains, a scripted module. "
            "Pass the network that it was made from."
        )
    tensors = [*network.named_parameters(), *network.named_buffers()]
    lazy = next((name for name, tensor in tensors if is_lazy(tensor)), None)
    if lazy is not None:
        raise InvalidArgument(
            f'summarize cannot count "{lazy}" of {owner}: its shape is unknown before the first run. '
            "Run one batch through the network first."
        )


def _rows(record: Trace) -> Iterator[Row]:
    """Calls in order, then what holds numbers but never ran. Each number counts where it is first met."""
    counted: set[int] = set()
    opened: set[nn.Module] = set()
    unused = [Call(module, None) for module in record.unused()]
    for call in [*record.calls, *unused]:
        module, name = call.module, record.names[call.module]
        own = [*kinds.own_parameters(module), *kinds.own_buffers(module)]
        if kinds.is_layer(module):
            yield _counted(_layer_row(name, call), [tensor for _, tensor in own], counted)
        elif module not in opened:
            for key, tensor in own:
                kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
                path = f"{name}.{key}".removeprefix(".")
                yield _counted(Row(name=path, kind=kind, output_shape=None), [tensor], counted)
        opened.add(module)


def _layer_row(name: str, call: Call) -> Row:
    ran = call.input_shape is not None and call.output_shape is not None
    window = kinds.window(call.module)
    row = Row(
        name=name,
        kind=kinds.kind(call.module),
        output_shape=None,
        macs=kinds.macs(call.module, call.input_shape or (), call.output_shape or ()) if ran else 0,
        activation_bytes=call.output_bytes,
        kernel=window and window.kernel,
        stride=window and window.stride,
        padding=window and window.padding,
    )
    return _with_output(row, call)


def _with_output(row: Row, call: Call) -> Row:
    """The row with the shape of what the call returned, and with what that sees of the image."""
    if call.output_shape is None:
        return row
    spans = call.spans or ()
    even = all(span.jump is not None for span in spans)
    return replace(
        row,
        output_shape=without_batch(call.output_shape),
        receptive_field=tuple(span.size for span in spans) or None,
        jump=tuple(span.jump or 0 for span in spans) or None if even else None,
        centre=tuple(span.centre for span in spans) or None if even else None,
    )


def _counted(row: Row, tensors: Iterable[Tensor], counted: set[int]) -> Row:
    """The row with how many numbers its tensors hold; those that are in ``counted`` are shared, the rest goes there."""
    for tensor in tensors:
        size = tensor.numel()
        if id(tensor) in counted:
            row = replace(row, shared=row.shared + size)
        elif isinstance(tensor, nn.Parameter):
            trainable = row.trainable + size * tensor.requires_grad
            row = replace(row, parameters=row.parameters + size, trainable=trainable)
        else:
            row = replace(row, fixed=row.fixed + size)
        counted.add(id(tensor))
    return row


def _stages(network: nn.Module, rows: Sequence[Row], calls: Sequence[Call]) -> Iterator[Row]:
    last = {call.module: call for call in calls}
    for name, child in network.named_children():
        if STAGE.fullmatch(name):
            inside = [row for row in rows if f"{row.name}.".startswith(f"{name}.")]
            yield _with_output(_sum(name, "subtotal", inside), last.get(child, Call(child, None)))


def _grouped(record: Trace, rows: Sequence[Row], depth: int) -> Iterator[Row]:
    """Rows whose names begin with the same ``depth`` parts as one, where the first of them stands."""
    modules = {name: module for module, name in record.names.items()}
    last = {call.module: call for call in record.calls}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(".".join(row.name.split(".")[:depth]), []).append(row)
    for name, inside in groups.items():
        if all(row.name == name for row in inside):
            yield from inside
            continue
        module = modules[name]
        layers = sum(row.output_shape is not None for row in inside)
        group = _sum(name, f"{kinds.class_name(module)}, {layers} layer{'s' * (layers != 1)}", inside)
        yield _with_output(group, last[module]) if module in last else group


def _sum(name: str, kind: str, rows: Sequence[Row]) -> Row:
    return Row(
        name=name,
        kind=kind,
        output_shape=None,
        parameters=sum(row.parameters for row in rows),
        trainable=sum(row.trainable for row in rows),
        fixed=sum(row.fixed for row in rows),
        macs=sum(row.macs for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
    )


def _memory(network: nn.Module, record: Trace) -> Memory:
    def total(tensors: Iterable[Tensor]) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    return Memory(
        parameters=total(network.parameters()),
        trainable=total(parameter for parameter in network.parameters() if parameter.requires_grad),
        buffers=total(network.buffers()),
        maps=record.predicting_bytes,
        training_maps=record.training_bytes,
        file=file_bytes(network.state_dict()),
    )


def _not_counted(record: Trace) -> Iterator[str]:
    """What is in no MACs, apart from layers and functions that do no arithmetic."""
    used = list(dict.fromkeys(call.module for call in record.calls if kinds.is_layer(call.module)))
    if any(isinstance(layer, kinds.COUNTED) and layer.bias is not None for layer in used):
        yield "biases"
    families: dict[str, Counter[str]] = {}
    unknown, others = [], Counter[str]()
    for layer in used:
        family = kinds.family(layer)
        if isinstance(layer, kinds.COUNTED) or family == "":
            continue
        if family is not None:
            families.setdefault(family, Counter())[kinds.class_name(layer)] += 1
        elif kinds.own_parameters(layer):
            unknown.append(_quoted(record.names[layer], layer))
        else:
            others[kinds.class_name(layer)] += 1
    for family, classes in sorted(families.items()):
        yield f"{family} ({', '.join(classes)})"
    if unknown:
        yield f"layers of unknown type that hold parameters ({listed(unknown, NAMED)})"
    if others:
        yield f"layers of unknown type ({_tally(others)})"
    yield from _functions(record.functions)
    unused = [_quoted(record.names[module], module) for module in record.unused() if kinds.is_layer(module)]
    if unused:
        yield f"layers that are never called ({listed(unused, NAMED)})"


def _functions(called: Counter[str]) -> Iterator[str]:
    """Arithmetic that a network does between its layers, such as the additions of its branches."""
    products = Counter({name: count for name, count in called.items() if name in PRODUCTS})
    others = Counter({name: count for name, count in called.items() if name not in PRODUCTS | NO_ARITHMETIC})
    if products:
        yield f"products outside layers ({_tally(products)})"
    if others:
        yield f"functions between layers ({_tally(others)})"


def _tally(counts: Counter[str]) -> str:
    return ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in counts.items())


def _quoted(name: str, module: nn.Module) -> str:
    return f'{kinds.class_name(module)} "{name}"' if name else kinds.class_name(module)
