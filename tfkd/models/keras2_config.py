"""Checks the names in the configuration of a Keras 2 model, at every depth, before tf_keras reads it.

tf_keras imports any module and calls any class that a configuration names; only listed names are accepted.
"""

from pathlib import Path
from typing import Any

import tf_keras
from google.protobuf import json_format
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tfkd.errors import RequestError, cause
from tfkd.kernels.keras_private import keras2_layer
from tfkd.models import operators
from tfkd.models.keras2_classes import (
    CLASSES,
    FUNCTION_LAYERS,
    FUNCTION_MODULES,
    FUNCTIONS,
    NODE_LAYER,
    OLD_CLASSES,
    PLAIN_FORMS,
)
from tfkd.models.pure_functions import PURE_FUNCTIONS
from tfkd.models.safety import code_refused, dictionaries, known_danger, missing_class, refused, shown_name

_LIBRARIES = ("keras", "tf_keras", "builtins")


def check(config: Any, path: Path) -> None:
    """Checks that a configuration names only layers that compute, and classes that imported modules have registered.

    The compile arguments of a model are neither built nor checked; those of a nested model are.

    Args:
        config: configuration from `file_kind.config_of`.
        path: path of the model, for messages.

    Raises:
        RequestError: it names code or anything else that is not listed, or a class that no imported module defines.
    """
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key != "compile_config"}
    for part in dictionaries(config):
        if "class_name" in part:
            _check_class(part, path)
        _check_values(part, path)


def _check_values(part: dict[str, Any], path: Path) -> None:
    """Raises a RequestError if an argument is a function as bytecode, or a tensor of a named class."""
    for key, value in part.items():
        if key.endswith("_type") and value in ("lambda", "function"):
            raise RequestError(code_refused(path, f"a function, {key} {value!r}"))
    if "_TYPE" in part:
        raise RequestError(refused(path, "a tensor that is no plain array"))


def _check_class(part: dict[str, Any], path: Path) -> None:
    names = [part["class_name"], part.get("module") or "", part.get("registered_name") or ""]
    if not all(isinstance(name, str) for name in names):
        raise RequestError(f"{path} is damaged: a class has the name {part['class_name']!r}.")
    if _is_registered(part):
        return
    if not _is_listed(part):
        raise RequestError(_refusal(part, path))
    if part["class_name"] in FUNCTION_LAYERS:
        _check_function(part, path)


def _is_registered(part: dict[str, Any]) -> bool:
    """Returns whether tf_keras finds a registered class or function, under any of its names."""
    name, config = part["class_name"], part.get("config")
    if name in FUNCTION_LAYERS:
        return False
    if name == "function":
        return isinstance(config, str) and tf_keras.saving.get_registered_object(config) is not None
    if not part.get("module") and tf_keras.saving.get_registered_object(name) is not None:
        return True
    found = tf_keras.saving.get_registered_object(part.get("registered_name", name))
    return getattr(found, "__name__", None) == name


def _is_listed(part: dict[str, Any]) -> bool:
    name, module = part["class_name"], (part.get("module") or "").removeprefix("tf_")
    if name in PLAIN_FORMS:
        return "module" not in part and "registered_name" not in part
    if name == "function":
        name = part.get("config")
        listed = isinstance(name, str) and name in FUNCTIONS and module in FUNCTION_MODULES
    else:
        listed = name in (CLASSES.get(module, ()) if module else OLD_CLASSES)
    return listed and part.get("registered_name") in (None, name)


def _refusal(part: dict[str, Any], path: Path) -> str:
    """Returns the message for a class that is neither listed nor registered."""
    name, module, registered = shown_name(part), part.get("module"), part.get("registered_name")
    if danger := known_danger(path, part):
        return danger
    is_theirs = module.split(".")[0] not in _LIBRARIES if module else keras2_layer(name) is None
    if is_theirs or ">" in (registered or ""):
        return missing_class(path, name, module, "tf_keras")
    where = f" of the module {module!r}" if module else ""
    under = f" under the name {registered!r}" if registered not in (None, name) else ""
    return refused(path, f"{name!r}{where}{under}, which is not known to compute and nothing else")


def _check_function(part: dict[str, Any], path: Path) -> None:
    """Raises a RequestError if a layer wraps a function or an operator that does more than compute."""
    kind, config = part["class_name"], part.get("config")
    if kind != NODE_LAYER:
        function = config.get("function") if isinstance(config, dict) else None
        if not isinstance(function, str) or function not in PURE_FUNCTIONS:
            raise RequestError(code_refused(path, f"{kind} {function!r}"))
        return
    try:
        node = _node(config)
    except Exception as error:
        raise RequestError(f"{path} is damaged: a {kind} holds no operator: {cause(error)}") from error
    operators.check(graph_pb2.GraphDef(node=[node]), str(path))


def _node(config: Any) -> Any:
    """Returns the NodeDef of a layer that wraps one operator, parsed as by tf_keras."""
    definition = config["node_def"]
    if isinstance(definition, dict):
        return json_format.ParseDict(definition, node_def_pb2.NodeDef())
    return node_def_pb2.NodeDef.FromString(definition.encode())
