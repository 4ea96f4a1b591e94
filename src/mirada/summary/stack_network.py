"""A planned stack as a network that can be drawn and run, without drawn weights."""

from torch import nn

from mirada.models.stack import stack_modules
from mirada.models.stack_text import parse_layers
from mirada.summary.stack import Stack
from mirada.summary.undrawn import SMALL, undrawn


def stack_network(stack: Stack) -> nn.Sequential:
    """The layers of a plan, one child per step, and no head; a dense layer that maps reach flattens them before."""
    shapes = [stack.input_shape, *(step.output_shape for step in stack.steps)]
    with undrawn("cpu" if stack.parameters < SMALL else "meta"):
        return stack_modules(parse_layers("; ".join(step.text for step in stack.steps)), shapes)
