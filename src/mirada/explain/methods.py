"""The methods of explanation, the first one first that a network and a layer allow."""

from mirada.errors import InvalidArgument, nearest
from mirada.explain.class_maps import EXACT
from mirada.explain.explainable import Explainable, Method
from mirada.explain.grad_cam import GRAD_CAM
from mirada.explain.hires_cam import HIRES_CAM

METHODS: dict[str, Method] = {method.key: method for method in (EXACT, GRAD_CAM, HIRES_CAM)}


def chosen_method(key: str | None, explainable: Explainable, layer: str) -> Method:
    """The method of this name, or for None the first of the table that the network and the layer allow.

    Raises:
        InvalidArgument: There is none of this name, or it cannot be used here.
    """
    if key is None:
        return next(method for method in METHODS.values() if not method.refusal(explainable, layer))
    if key not in METHODS:
        raise InvalidArgument(f'There is no method "{key}". {nearest(key, METHODS)}')
    method = METHODS[key]
    if refusal := method.refusal(explainable, layer):
        raise InvalidArgument(refusal)
    return method
