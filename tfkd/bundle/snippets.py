"""Source code for the app beside the files of a bundle: Kotlin for Android, Swift for iOS."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tfkd import files
from tfkd.bundle.counts import COUNTS_SCHEMA
from tfkd.bundle.manifest import Manifest
from tfkd.formats import FORMATS, AppCode
from tfkd.inputs.text import delimiters
from tfkd.inputs.text.tensors import length_of
from tfkd.inputs.text.tokenizer import LONGEST_WORD
from tfkd.inputs.text.vocabulary import CONTINUATION
from tfkd.verification import counting, thresholds
from tfkd.verification.records import Artifact

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Snippet:
    """One source file.

    Attributes:
        path: inside the bundle, with forward slashes.
        runtime: litert, mediapipe or coreml, the library of the app that it calls; tokenizer and counter for none.
        artifact: the model file that it runs.
        code: its text.
    """

    path: str
    runtime: str
    artifact: Artifact
    code: str


def snippets(manifest: Manifest) -> list[Snippet]:
    """Returns the sources for the files of a bundle: one file per platform, the smallest that keeps the accuracy."""
    return list(_snippets(manifest))


def write(manifest: Manifest, folder: Path) -> None:
    """Writes the sources beside the files of a bundle.

    Raises:
        RequestError: the folder cannot be written.
    """
    for snippet in snippets(manifest):
        files.write_text(folder / snippet.path, snippet.code)


def type_name(bundle: str) -> str:
    """Returns a bundle's name as the name of a type: "my-shoes_2" -> "MyShoes2"."""
    parts = re.findall(r"[A-Za-z0-9]+", bundle)
    name = "".join(part[:1].upper() + part[1:] for part in parts)
    return name if name[:1].isalpha() else f"Model{name}"


def tokenizer(template: str, bundle: str, length: int) -> str:
    """Returns the source of the tokenizer for a model of texts.

    Args:
        template: "tokenizer.kt.j2" or "tokenizer.swift.j2".
        bundle: its name.
        length: of the model's input, tokens.
    """
    named = {"bundle": bundle, "type": f"{type_name(bundle)}Tokenizer"}
    return _render(template, named | _of_tokenizer(length))


def counter(template: str, manifest: Manifest, artifact: Artifact) -> str:
    """Returns the source that counts predictions of the files in one folder of a bundle.

    Args:
        template: "counter.kt.j2" or "counter.swift.j2".
        manifest: of the bundle.
        artifact: the file whose predictions it counts unless the app names another one.
    """
    folder = PurePosixPath(artifact.path).parent
    values = {
        "bundle": manifest.name,
        "type": f"{type_name(manifest.name)}Counter",
        "file": PurePosixPath(artifact.path).name,
        "classes": len(manifest.data.classes),
    }
    return _render(template, values | _of_counter(manifest, folder))


def _of_counter(manifest: Manifest, folder: PurePosixPath) -> dict[str, Any]:
    files = [each for each in manifest.artifacts if PurePosixPath(each.path).parent == folder]
    return {
        "schema": COUNTS_SCHEMA,
        "files": {each.path: each.sha256 for each in files},
        "file_thresholds": {each.path: _threshold(each) for each in files if each.least_probability is not None},
        "tfkd_version": manifest.tfkd_version,
        "most_days": counting.MOST_DAYS,
        "bins": counting.BINS,
        "smallest_term": counting.SMALLEST_TERM,
        "root_of_half": counting.ROOT_OF_HALF,
        "ln2": counting.LN2,
        "last_term": counting.LAST_TERM,
    }


def _of_tokenizer(length: int) -> dict[str, Any]:
    codes = [f"0x{code:X}" for ends in delimiters.RANGES for code in ends]
    return {
        "length": length,
        "longest_word": LONGEST_WORD,
        "continuation": CONTINUATION,
        "delimiters": [", ".join(codes[start : start + 12]) for start in range(0, len(codes), 12)],
    }


def _snippets(manifest: Manifest) -> Iterator[Snippet]:
    name = type_name(manifest.name)
    for folder in dict.fromkeys(format.folder for format in FORMATS.values() if format.code):
        files = [each for each in manifest.artifacts if _folder_with_code(each) == folder]
        if files:
            example = min(files, key=lambda each: (each.not_verified is not None, not _shipped(each)))
            for code in FORMATS[example.format].code:
                if code.kind != manifest.signature.kind:
                    continue
                path = f"{folder}/{code.file.format(type=name)}"
                yield _rendered(manifest, example, code, path)


def _folder_with_code(artifact: Artifact) -> str | None:
    format = FORMATS.get(artifact.format)
    return format.folder if format and format.code else None


def _shipped(artifact: Artifact) -> bool:
    return FORMATS[artifact.format].precision(artifact.precision).shipped


def _rendered(manifest: Manifest, artifact: Artifact, code: AppCode, path: str) -> Snippet:
    file = PurePosixPath(artifact.path)
    values: dict[str, Any] = {
        "bundle": manifest.name,
        "type": PurePosixPath(path).stem,
        "file": file.name,
        "module": file.stem,
        **_of_kind(manifest),
        **_of_counter(manifest, PurePosixPath(path).parent),
        "classes": len(manifest.data.classes),
        "input": artifact.io.input.dtype,
        "output": artifact.io.output.dtype,
        "scale": artifact.io.output.scale,
        "thresholds": thresholds.values_by_name(manifest.thresholds),
        "least": _threshold(artifact),
    }
    return Snippet(path, code.runtime, artifact, _render(code.template, values))


def _threshold(artifact: Artifact) -> str | None:
    """Returns the least probability of a label, with the digits that give the same float32 again."""
    return None if artifact.least_probability is None else f"{artifact.least_probability:.9g}"


def _of_kind(manifest: Manifest) -> dict[str, Any]:
    """Returns what sources say of the input."""
    if manifest.signature.kind == "text":
        named = {"tokenizer": f"{type_name(manifest.name)}Tokenizer", "article": "a text", "parameter": "text: String"}
        return named | _of_tokenizer(length_of(manifest.signature))
    if manifest.signature.kind == "table":
        named = {"article": "a row", "parameter": "values: Map<String, Any>"}
        return named | {"columns": manifest.signature.columns}
    return {"size": manifest.signature.single.shape[0], "article": "a photo", "parameter": "photo: Bitmap"}


def _render(template: str, values: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tfkd.bundle"),
        autoescape=False,  # source code: `quoted` escapes what comes from outside
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"quoted": _quoted, "swift": _quoted_in_swift}
    return environment.get_template(template).render(values)


def _quoted(text: str) -> str:
    """Writes text as a literal of Kotlin; file names, which are plain, are the same in Swift."""
    return json.dumps(text, ensure_ascii=False).replace("$", "\\$").replace("\\f", "\\u000c")


def _quoted_in_swift(text: str) -> str:
    """Writes text as a literal of Swift."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    legible = _CONTROL.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", escaped)
    return f'"{legible}"'
