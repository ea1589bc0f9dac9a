"""Inputs and costs of the stages that fill a soft-label store."""

from collections.abc import Callable
from typing import Any

from tfkd.pipeline.context import RunContext
from tfkd.pipeline.filling import StoreResult, membership_in_transfer_set
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources, of_views, settings
from tfkd.store.layout import Layout


def inputs_of(sources: Sources, network: str, rendering: str, views: int) -> Inputs:
    """Returns the inputs of a store.

    Args:
        sources: contents of the run.
        network: name of the stage that trained the network.
        rendering: input rendering of the network.
        views: number of views per image.
    """
    recipe = sources.recipe
    own = {
        **of_views(recipe.teacher_views),
        **settings("distill", {"features": recipe.distill.teacher_taps}),
        **sources.unlabelled(rendering),
    }
    return Inputs(own, (network,), {"distill.views": views})


def cost_of(
    context: RunContext,
    kind: StageKind[StoreResult],
    number: int,
    per_image: int,
    untrained: Callable[[], Any | None],
    domain: str | None = None,
) -> str:
    """Returns the cost of filling a store, in views, bytes and minutes.

    Args:
        context: context of the run.
        kind: kind of the stage.
        number: number of the stage.
        per_image: number of views per image.
        untrained: builds an untrained Keras network of the same architecture; returns None for a teacher of another
            kind, whose speed is not known before it runs.
        domain: pattern of the images that it predicts; None: all.
    """
    recipe, data = context.recipe, context.data
    members = membership_in_transfer_set(data, domain)
    views, rows = int(members.sum()) * per_image, len(members) * per_image
    if context.stages[kind.numbered(number)].result():
        done = context.result(kind, number)
        return f"{views:,} views, {rows * done.layout.bytes_per_view / 1e6:,.1f} MB, {done.seconds / 60:,.1f} minutes"
    context.start_tensorflow()
    from tfkd.store import inference

    model = untrained()
    if model is None:
        size = Layout.for_classes(len(data.classes)).bytes_per_view
        return f"{views:,} views, {rows * size / 1e6:,.1f} MB without features"
    layout = Layout.for_classes(len(data.classes), inference.feature_shapes(model, recipe.distill.teacher_taps))
    minutes = views / inference.images_per_second(model) / 60
    return f"{views:,} views, {rows * layout.bytes_per_view / 1e6:,.1f} MB, about {minutes:,.1f} minutes"
