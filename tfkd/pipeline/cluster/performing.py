"""What a node does: work in a child process, whose messages it passes on."""

import time
from collections.abc import Iterator
from typing import Any

from tfkd.errors import TfkdError, of_the_machine
from tfkd.pipeline.cluster.nodes import WORKING, Home, Node, alone_with, this_node
from tfkd.processes import start_server
from tfkd.training.children import RESULT, STEPS, Child, ChildCores, Work

NODE, ERROR = "node", "error"  # kinds of messages beside those of a child
_BETWEEN = 0.5  # seconds between messages about steps

Message = tuple[str, Any, float]  # kind, value, processor seconds of the work so far


def greet() -> Node:
    """Returns this node, after it has begun to load TensorFlow for the work that follows."""
    start_server()
    return this_node()


def perform(home: Home, giver: Node, boxed: list[Any], threads: int) -> Iterator[Message]:
    """Does some work on this node, and yields its messages: the name of the node, steps, lines, the result or an error.

    Args:
        home: what this node must see.
        giver: the node that gives out the work, whose software this one must have.
        boxed: a reference to the `Work`, in a list: Ray would fetch it before relative paths are those of its giver.
        threads: threads of TensorFlow.
    """
    import ray

    here = this_node()
    yield NODE, here.name, 0.0
    try:
        giver.require_equal(here)
        home.enter(here.name)
        work: Work = ray.get(boxed[0])
        with alone_with(work.folder / WORKING):
            yield from _messages(Child(work, ChildCores(threads)))
    except TfkdError as error:
        yield ERROR, error, 0.0
    except Exception as error:
        failed = of_the_machine(error) or TfkdError(f"{type(error).__name__}: {error}")
        yield ERROR, type(failed)(f"Node {here.name}: {failed}"), 0.0


def _messages(child: Child) -> Iterator[Message]:
    """Yields the messages of a child, with steps added up."""
    steps, last = 0, time.monotonic()
    is_done = False
    try:
        while not is_done:
            kind, value = child.receive()
            is_done = kind == RESULT
            steps += value if kind == STEPS else 0
            if steps and (kind != STEPS or time.monotonic() - last >= _BETWEEN):
                yield STEPS, steps, child.processor_seconds
                steps, last = 0, time.monotonic()
            if kind != STEPS:
                yield kind, value, child.processor_seconds
    finally:
        if not is_done:
            child.stop()
