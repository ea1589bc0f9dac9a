"""Extracts the part of a foreign graph that some tensors need, without importing or running anything."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tensorflow.core.framework import graph_pb2

from tfkd.errors import RequestError
from tfkd.models.operators import called, references, shown

_RUNTIME = ("config", "config_proto", "executor_type")  # execution settings of the machine that wrote it


def reachable(graph: Any, outputs: Iterable[str], name: str) -> Any:
    """Returns the part of a graph that some tensors need: nodes, by data and control, and the functions that they call.

    A function of the library is visited once and keeps what its results need, by data and by control. Gradients, other
    implementations of functions and functions that nothing calls are left out.

    Args:
        graph: a GraphDef.
        outputs: names of tensors or nodes.
        name: name of the graph in messages.

    Returns:
        A GraphDef with copies of its nodes, in their order.

    Raises:
        RequestError: a required node or function is missing.
    """
    functions = {function.signature.name: function for function in graph.library.function}
    part = graph_pb2.GraphDef(node=needed(graph.node, outputs, name).values(), versions=graph.versions)
    waiting, kept = _called(part.node, functions, name), {}
    while waiting:
        key = waiting.pop()
        if key in kept:
            continue
        kept[key] = _trimmed(functions[key], name)
        waiting |= _called(kept[key].node_def, functions, name)
    part.library.function.extend(kept[key] for key in functions if key in kept)
    return part


def needed(
    nodes: Iterable[Any], tensors: Iterable[str], name: str, argument_names: Iterable[str] = ()
) -> dict[str, Any]:
    """Returns the nodes of a body that some tensors need, by name and in their order.

    Args:
        nodes: NodeDefs.
        tensors: names in the form of inputs: `node`, `node:0`, `node:output:0`, `^node`.
        name: what messages call the graph.
        argument_names: names of a function's arguments.

    Raises:
        RequestError: one is missing.
    """
    known, arguments = {node.name: node for node in nodes}, set(argument_names)
    waiting, found = [node_of(each) for each in tensors], set()
    while waiting:
        key = waiting.pop()
        if key in found or key in arguments:
            continue
        if key not in known:
            raise RequestError(f"{name} is damaged: its graph needs the node {shown(key)}, which is not there.")
        found.add(key)
        waiting.extend(map(node_of, known[key].input))
    return {key: node for key, node in known.items() if key in found}


def free_placeholders(graph: Any) -> None:
    """Removes control inputs from placeholders, for which a graph imported with other inputs would wait."""
    placeholders = {f"^{node.name}" for node in graph.node if node.op == "Placeholder"}
    for node in graph.node:
        node.input[:] = [each for each in node.input if each not in placeholders]


def make_portable(graph: Any) -> None:
    """Removes, in place, what ties a graph to a process or machine.

    Its functions get names that depend on its content, so that two graphs in one process do not mix theirs; devices and
    hints to the runtime are removed.

    Args:
        graph: a GraphDef that calls only functions of its library.
    """
    _rename(graph, "part")
    for node in _nodes(graph):
        for field in ("device", "experimental_debug_info", "experimental_type"):
            node.ClearField(field)
        for key in [key for key in node.attr if key.startswith("_") or key in _RUNTIME]:
            del node.attr[key]
    _rename(graph, f"part_{hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest()[:16]}")


def _rename(graph: Any, prefix: str) -> None:
    """Numbers the functions of a graph."""
    names = {each.signature.name: f"{prefix}_{number}" for number, each in enumerate(graph.library.function)}
    for function in graph.library.function:
        function.signature.name = names[function.signature.name]
    for node in _nodes(graph):
        node.op = names.get(node.op, node.op)
        for reference in references(node):
            reference.name = names[reference.name]


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def node_of(tensor: str) -> str:
    """Returns the name of the node of an input."""
    return tensor.removeprefix("^").split(":")[0]


def _called(nodes: Iterable[Any], functions: Mapping[str, Any], name: str) -> set[str]:
    names = {each for node in nodes for each in called(node, functions)}
    if missing := [each for each in sorted(names) if each not in functions]:
        raise RequestError(f"{name} is damaged: its graph calls the function {shown(missing[0])}, which is not there.")
    return names


def _trimmed(function: Any, name: str) -> Any:
    """Returns a function reduced to what its results need, without its own attributes."""
    arguments = [each.name for each in function.signature.input_arg]
    nodes = needed(function.node_def, function.ret.values(), name, arguments)
    ends = {key: node for key, node in function.control_ret.items() if node in nodes}  # required for inlining
    copy = type(function)(signature=function.signature, node_def=nodes.values(), ret=function.ret, control_ret=ends)
    copy.signature.control_output[:] = [key for key in function.signature.control_output if key in ends]
    return copy
