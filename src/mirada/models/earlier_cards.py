"""What model files of formats 1 and 2 say, as format 3 has it."""

from dataclasses import asdict
from math import isclose
from typing import Any

from mirada.models.options import options_now
from mirada.samples import Covariate, Numbers

Flat = dict[str, Any]  # of a description, as JSON has it

NUMERIC = Numbers().task
BEFORE_2 = {
    "options": {},
    "target_names": [],
    "covariate_names": [],
    "covariate_mean": [],
    "covariate_std": [],
    "temperature": 1.0,
    "conformal": {},
}  # what format 1 did not say
WHOLE_RANGE = {"depth": 8, "window": "full", "clahe": 0.0}  # of pixels: what was done before one could choose


def from_flat(flat: Flat, stated: int) -> Flat:
    """The values of format 1, which knew of one target and of nothing beside the image, or 2, as format 3 has them."""
    values = {**BEFORE_2, **flat} if stated == 1 else flat
    preprocessing = values["preprocessing"]
    names = values["covariate_names"]
    numeric = values["task"] == NUMERIC
    beside = {"mean": values["covariate_mean"], "std": values["covariate_std"]}
    target = {"names": values["target_names"] or [""], "unit": values["unit"]}
    return {
        "task": values["task"],
        "architecture": {
            "model": values["model"],
            "options": options_now(values["model"], values["options"]),
            "outputs": values["num_classes"],
            "in_channels": values["in_channels"],
            "image_size": values["image_size"],
            "covariates": len(names),
        },
        "preprocessing": {**WHOLE_RANGE, **preprocessing} if stated == 1 else preprocessing,
        "target": target if numeric else {"names": values["classes"]},
        "target_scaling": {key: _listed(values[f"target_{key}"]) for key in ("mean", "std")}
        if numeric
        else None,
        "covariates": [
            {**asdict(Covariate.parse(name)), "binary": isclose(std**2, mean * (1 - mean), rel_tol=1e-6)}
            for name, mean, std in zip(names, beside["mean"], beside["std"], strict=True)
        ],  # these formats do not say what was 0 or 1 alone; only then the variance is m (1 − m), for the mean m
        "covariate_scaling": beside,
        "temperature": values["temperature"],
        "conformal": values["conformal"] or None,
        "recipe": values["recipe"],
        "provenance": values["provenance"],
    }


def _listed(value: Any) -> list[Any]:
    """A number of format 1 as the list that format 2 has."""
    return value if isinstance(value, list) else [value]
