"""Follows what each tensor of a run sees of the image, from function to function, through branches and skips.

A tensor's image axes are its last ones, (…, H, W), and each has a ``Span``. Where a function moves values in a way that
no rule here describes, such as upsampling, None says that nothing is known. Normalization counts as reading one
value, as in the literature: the statistics that some kinds take over the maps are left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from mirada.summary.rules import Shape, Span, adaptive_span, image_span, join_spans, per_axis, window_span

Spans = tuple[Span, ...]  # one per axis of the image

# fmt: off
# The result has the shape of an argument, but is made of none of its values.
CONSTANT = frozenset({
    "empty_like", "full_like", "new_empty", "new_full", "new_ones", "new_tensor", "new_zeros", "ones_like",
    "rand_like", "randn_like", "zeros_like",
})
# Every value of the result may be made of all values of the arguments …
GLOBAL = frozenset({
    "addbmm", "addmm", "baddbmm", "bilinear", "bmm", "einsum", "fft_fft2", "fft_fftn", "fft_ifft2", "fft_ifftn",
    "fft_rfft2", "grid_sample", "matmul", "mm", "multi_head_attention_forward", "mv",
    "roll", "rot90", "scaled_dot_product_attention", "tensordot",
})
# … here of all along the axes that the function is told.
ALONG = frozenset({
    "all", "amax", "amin", "any", "argmax", "argmin", "cumprod", "cumsum", "flip", "log_softmax", "logsumexp",
    "max", "mean", "median", "min", "prod", "softmax", "softmin", "sort", "std", "sum", "var",
})
FOLDING = frozenset({
    "flatten", "ravel", "reshape", "reshape_as", "squeeze", "unflatten", "unsqueeze", "view", "view_as",
})
MOVING = frozenset({"movedim", "permute", "swapaxes", "t", "transpose"})
# fmt: on


class Sights:
    """What each tensor of a run sees of an image whose shape, without the batch, is ``shape``."""

    def __init__(self, shape: Shape) -> None:
        self.sizes = shape[1:]
        self._of = WeakIdKeyDictionary()

    def start(self, images: Tensor) -> None:
        """The images, (N, C, …), see themselves."""
        if self.sizes:
            self._of[images] = tuple(image_span(size) for size in self.sizes)

    def of(self, tensor: Tensor | None) -> Spans | None:
        """One span per axis of the image; None if it is not known what the tensor sees, or if it sees nothing."""
        spans: Spans | None = self._of.get(tensor)  # type: ignore[no-untyped-call]
        return spans

    def follow(self, name: str, args: Sequence[Any], kwargs: Mapping[str, object], result: Any) -> None:
        """The function called ``name`` has been called and has returned ``result``."""
        sources = [tensor for tensor in tensors((args, kwargs)) if tensor in self._of]
        if not sources or name in CONSTANT:
            return
        if name == "setitem":
            self._of[args[0]] = None
        for tensor in tensors(result):
            self._of[tensor] = self._behind(name, args, kwargs, sources=sources, after=tuple(tensor.shape))

    def _behind(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        sources: list[Tensor],
        after: Shape,
    ) -> Spans | None:
        seen: list[Spans | None] = [self._of[tensor] for tensor in sources]
        known = [spans for spans in seen if spans is not None]
        if len(known) < len(seen):
            return None
        if name in GLOBAL:
            return _join([tuple(span.whole() for span in spans) for spans in known])
        if name in RULES and len(sources) == 1:
            return RULES[name](_FunctionCall(known[0], tuple(sources[0].shape), after, args, kwargs))
        return _join([_aligned(s, tuple(t.shape), after) for s, t in zip(known, sources, strict=True)])


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors, of any shape, in nested lists, tuples and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors(item)


class _FunctionCall(NamedTuple):
    """One function that reads one tensor: what that sees, its shape, the shape of the result, the arguments."""

    spans: Spans
    before: Shape
    after: Shape
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    def argument(self, place: int, name: str, usual: Any = None) -> Any:
        """An argument given by place or by name."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, usual)

    @property
    def even(self) -> bool:
        """Whether the last axes are still those of the image."""
        return any(span.jump for span in self.spans)

    @property
    def before_maps(self) -> int:
        """How many axes stand before those of the image."""
        return len(self.before) - len(self.spans)

    def whole(self) -> Spans:
        return tuple(span.whole() for span in self.spans)


def _join(seen: Sequence[Spans | None]) -> Spans | None:
    joined = seen[0]
    for spans in seen[1:]:
        if joined is None or spans is None:
            return None
        together = [join_spans(one, other) for one, other in zip(joined, spans, strict=True)]
        joined = tuple(span for span in together if span is not None)
        if len(joined) < len(together):
            return None
    return joined


def _aligned(spans: Spans, before: Shape, after: Shape) -> Spans | None:
    """An argument as the result has it: the axes of the image keep their sizes, or are stretched from 1."""
    axes = len(spans)
    if not any(span.jump for span in spans):
        return spans
    if len(after) < axes:
        return None
    stretched = []
    for span, size, wanted in zip(spans, before[-axes:], after[-axes:], strict=True):
        if size not in (1, wanted):
            return None
        stretched.append(span if size == wanted or not span.jump else span.whole())
    return tuple(stretched)


def _window(step: _FunctionCall, kernel: Any, stride: Any, padding: Any, dilation: Any = 1) -> Spans | None:
    axes = len(step.spans)
    if len(step.before) != axes + 2:  # a convolution over axes that are not those of the image
        return None if step.even else step.whole()
    sizes = [per_axis(value, axes) for value in (kernel, stride, padding, dilation)]
    return tuple(
        window_span(span, count, k, stride=s, padding=p, dilation=d)
        for span, count, k, s, p, d in zip(step.spans, step.after[2:], *sizes, strict=True)
    )


def _convolution(step: _FunctionCall) -> Spans | None:
    axes = len(step.spans)
    kernel = tuple(step.argument(1, "weight").shape[2:])
    padding, dilation = step.argument(4, "padding", 0), step.argument(5, "dilation", 1)
    if padding == "valid":
        padding = 0
    elif padding == "same" and len(kernel) == axes:
        padding = [d * (k - 1) // 2 for k, d in zip(kernel, per_axis(dilation, axes), strict=True)]
    return _window(step, kernel, step.argument(3, "stride", 1), padding, dilation)


def _max_pool(step: _FunctionCall) -> Spans | None:
    kernel = step.argument(1, "kernel_size")
    stride, padding = step.argument(2, "stride") or kernel, step.argument(3, "padding", 0)
    return _window(step, kernel, stride, padding, step.argument(4, "dilation", 1))


def _avg_pool(step: _FunctionCall) -> Spans | None:
    kernel = step.argument(1, "kernel_size")
    return _window(step, kernel, step.argument(2, "stride") or kernel, step.argument(3, "padding", 0))


def _lp_pool(step: _FunctionCall) -> Spans | None:
    kernel = step.argument(2, "kernel_size")
    return _window(step, kernel, step.argument(3, "stride") or kernel, 0)


def _adaptive_pool(step: _FunctionCall) -> Spans | None:
    axes = len(step.spans)
    if len(step.before) != axes + 2:
        return None if step.even else step.whole()
    sizes = zip(step.spans, step.before[2:], step.after[2:], strict=True)
    return tuple(adaptive_span(span, size, count) for span, size, count in sizes)


def _pad(step: _FunctionCall) -> Spans | None:
    """Values that are not the image's own count as padding, whatever is in them, unless they come from far away."""
    if not step.even:
        return step.spans
    if step.argument(2, "mode", "constant") == "circular":
        return None
    starts = list(step.argument(1, "pad"))[::2] + [0] * len(step.spans)  # from the last axis to the first
    sizes = zip(step.spans, step.after[-len(step.spans) :], starts[len(step.spans) - 1 :: -1], strict=True)
    return tuple(window_span(span, count, 1, padding=start) for span, count, start in sizes)


def _getitem(step: _FunctionCall) -> Spans | None:
    index = step.args[1] if isinstance(step.args[1], tuple) else (step.args[1],)
    slices = all(isinstance(item, slice) or item is Ellipsis for item in index)
    short = len(index) <= step.before_maps and all(isinstance(item, (slice, int)) for item in index)
    if short or not step.even:  # the maps are taken as they are
        return step.spans
    if not slices:
        return None
    rest = [slice(None)] * (len(step.before) - len(index) + (Ellipsis in index))
    gap = index.index(Ellipsis) if Ellipsis in index else len(index)
    parts = [*index[:gap], *rest, *index[gap + 1 :]]
    cuts = zip(step.spans, parts[step.before_maps :], step.before[step.before_maps :], strict=True)
    return tuple(_cut(span, part, size) for span, part, size in cuts)


def _cut(span: Span, part: slice, size: int) -> Span:
    start, stop, stride = part.indices(size)
    return window_span(span, len(range(start, stop, stride)), 1, stride=stride, padding=-start)


def _linear(step: _FunctionCall) -> Spans | None:
    """Reads the last axis, which is the image's last, or all that was folded."""
    last = step.spans[-1:] and (step.spans[-1].whole(),)
    return tuple(span if span.jump else span.whole() for span in step.spans[:-1]) + last


def _along(step: _FunctionCall) -> Spans | None:
    told = step.kwargs.get("dim", step.kwargs.get("dims", step.args[1] if len(step.args) > 1 else None))
    places = {place % len(step.before) for place in ([told] if isinstance(told, int) else told or [])}
    on_maps = not places or max(places) >= step.before_maps or not step.even
    return step.whole() if on_maps else step.spans


def _fold(step: _FunctionCall) -> Spans | None:
    """Values stay in order, so that axes which keep their sizes at the end are still those of the image."""
    axes = len(step.spans)
    kept = len(step.after) > axes and step.after[-axes:] == step.before[-axes:]
    return step.spans if kept else tuple(span.unordered() for span in step.spans)


def _move(step: _FunctionCall) -> Spans | None:
    """Known only where the axes before those of the image change places among themselves."""
    numbers = [value for value in step.args[1:] if isinstance(value, int)] or step.argument(1, "dims") or []
    places = [place % len(step.before) for place in numbers]
    moved = [place for position, place in enumerate(places) if len(places) == 2 or position != place]
    stays = moved and max(moved) < step.before_maps
    return step.spans if stays or not step.even else None


RULES: dict[str, Callable[[_FunctionCall], Spans | None]] = (
    {f"conv{axes}d": _convolution for axes in (1, 2, 3)}
    | {f"max_pool{axes}d{end}": _max_pool for axes in (1, 2, 3) for end in ("", "_with_indices")}
    | {f"avg_pool{axes}d": _avg_pool for axes in (1, 2, 3)}
    | {f"lp_pool{axes}d": _lp_pool for axes in (1, 2, 3)}
    | {f"adaptive_avg_pool{axes}d": _adaptive_pool for axes in (1, 2, 3)}
    | {
        f"adaptive_max_pool{axes}d{end}": _adaptive_pool
        for axes in (1, 2, 3)
        for end in ("", "_with_indices")
    }
    | {"pad": _pad, "getitem": _getitem, "linear": _linear}
    | dict.fromkeys(ALONG, _along)
    | dict.fromkeys(FOLDING, _fold)
    | dict.fromkeys(MOVING, _move)
)
