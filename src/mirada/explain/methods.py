"""The methods of explanation, the first one first that a network and a layer allow."""

from mirada.errors import InvalidArgument, nearest
from mirada.explain.class_maps import EXACT
from mirada.explain.explainable import Explainable, Method
from mirada.explain.grad_cam import GRAD_CAM
from mirada.explain.grad_cam_pp import GRAD_CAM_PP
from mirada.explain.guided_backprop import GUIDED_BACKPROP
from mirada.explain.hires_cam import HIRES_CAM
from mirada.explain.integrated_gradients import INTEGRATED_GRADIENTS
from mirada.explain.layer_cam import LAYER_CAM
from mirada.explain.occlusion import OCCLUSION
from mirada.explain.recipro_cam import RECIPRO_CAM
from mirada.explain.rise import RISE
from mirada.explain.saliency import SALIENCY
from mirada.explain.score_cam import SCORE_CAM
from mirada.explain.smooth_grad import SMOOTH_GRAD

METHODS: dict[str, Method] = {
    method.key: method
    for method in (
        EXACT, GRAD_CAM, HIRES_CAM,  # one of which every network and layer allows, in one pass
        GRAD_CAM_PP, LAYER_CAM, SCORE_CAM, RECIPRO_CAM,
        SALIENCY, SMOOTH_GRAD, GUIDED_BACKPROP, INTEGRATED_GRADIENTS,
        OCCLUSION, RISE,
    )
}  # fmt: skip


def named_method(key: str) -> Method:
    """The method of this name.

    Raises:
        InvalidArgument: There is none; the nearest is named.
    """
    if key not in METHODS:
        raise InvalidArgument(f'There is no method "{key}". {nearest(key, METHODS)}')
    return METHODS[key]


def chosen_method(method: Method | None, explainable: Explainable, layer: str) -> Method:
    """This method, or for None the first of the table that the network and the layer allow.

    Raises:
        InvalidArgument: It cannot be used here.
    """
    if method is None:
        return next(each for each in METHODS.values() if not each.refusal(explainable, layer))
    if refusal := method.refusal(explainable, layer):
        raise InvalidArgument(refusal)
    return method
