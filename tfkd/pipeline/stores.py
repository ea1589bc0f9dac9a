"""What the stages that fill a soft-label store depend on, and what they cost."""

from collections.abc import Callable
from typing import Any

from tfkd.pipeline.context import RunContext
from tfkd.pipeline.filling import StoreResult, images_in_transfer_set
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources, settings
from tfkd.store.layout import Layout


def inputs_of(sources: Sources, network: str, rendering: str) -> Inputs:
    """Returns what a store depends on.

    Args:
        sources: the contents of the run.
        network: name of the stage that trained the network.
        rendering: what the network sees of a photo.
    """
    recipe = sources.recipe
    own = {
        **settings("data", {"augment": recipe.teacher_views.model_dump(mode="json")}),
        **settings("distill", {"features": recipe.distill.teacher_taps}),
        **sources.unlabelled(rendering),
    }
    return Inputs(own, (network,), {"distill.views": recipe.distill.views})


def cost_of(context: RunContext, kind: StageKind[StoreResult], number: int, untrained: Callable[[], Any]) -> str:
    """Returns what filling a store costs, or did cost, in views, bytes and minutes.

    Args:
        context: of the run.
        kind: of the stage.
        number: of the stage.
        untrained: builds a network like the one that predicts, as fast but not trained.
    """
    recipe, data = context.recipe, context.data
    views = images_in_transfer_set(data) * recipe.distill.views
    if context.stages[kind.numbered(number)].result():
        done = context.result(kind, number)
        return f"{views:,} views, {views * done.layout.bytes_per_view / 1e6:,.1f} MB, {done.seconds / 60:,.1f} minutes"
    context.start_tensorflow()
    from tfkd.store import inference

    model = untrained()
    layout = Layout.chosen(len(data.classes), inference.feature_shapes(model, recipe.distill.teacher_taps))
    minutes = views / inference.images_per_second(model) / 60
    return f"{views:,} views, {views * layout.bytes_per_view / 1e6:,.1f} MB, about {minutes:,.1f} minutes"
