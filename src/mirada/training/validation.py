"""How good a network is on the validation split, after every epoch; and which epoch is better."""

import torch

from mirada.data.views import judged
from mirada.evaluation.features import infer_cached
from mirada.evaluation.metric_table import quick_metrics
from mirada.layers.network import Network
from mirada.samples import Numbers, Target
from mirada.training.feed import Feed
from mirada.training.loss import Loss


def validate(network: Network, feed: Feed, loss: Loss) -> dict[str, float]:
    """Loss and metrics on the validation split, at the precision of training; the network stays in its mode."""
    card = feed.card
    raw = infer_cached(
        network,
        feed.cache,
        feed.val_rows,
        card.preprocessing,
        feed.compute,
        feed.covariates,
        feed.features,
        judged(card.flip_average),
    )
    value = float(loss(raw, feed.targets.cpu()[torch.from_numpy(feed.val_rows)]))
    targets = feed.cache.index.targets[feed.val_rows]
    return {"loss": value, **quick_metrics(card.target, card.read_outputs(raw).numpy(), targets)}


def score(found: dict[str, float], target: Target) -> tuple[float, float]:
    """Higher is better. Of unrounded numbers, so that the unit of a target changes nothing."""
    if "accuracy" in found:
        return found["accuracy"], -found["loss"]
    several = isinstance(target, Numbers) and len(target.names) > 1  # whose units may differ
    return -found["loss" if several else "mae"], -found["loss"]
