"""How an app uses the files of a bundle: said once, shown in the report and in the model card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from tfkd.bundle.manifest import Manifest
from tfkd.bundle.snippets import Snippet, snippets
from tfkd.errors import enumerated
from tfkd.inputs import kind_of
from tfkd.inputs.kind import Description
from tfkd.inputs.text.vocabulary import VOCABULARY
from tfkd.labels import LABELS
from tfkd.recipe.renamed import present_named
from tfkd.verification.records import Artifact


@dataclass(frozen=True)
class Usage:
    """The instructions for one library of a platform."""

    platform: str
    steps: list[str]
    path: str
    code: str


def described(manifest: Manifest) -> Description:
    """Returns what is said of the student's input."""
    return kind_of(manifest.signature.kind).describe(manifest.signature)


def usages(manifest: Manifest) -> list[Usage]:
    """Returns instructions for Android and iOS, each where the bundle holds files for it."""
    kind, read = kind_of(manifest.signature.kind), described(manifest).apps
    written = snippets(manifest)
    tokenizers = {PurePosixPath(each.path).parent: each.path for each in written if each.runtime == "tokenizer"}
    shown = [snippet for snippet in written if snippet.runtime in STEPS]
    found = [
        STEPS[snippet.runtime](snippet, read[snippet.runtime], tokenizers.get(PurePosixPath(snippet.path).parent))
        for snippet in shown
    ]
    if rendering := present_named(manifest.recipe.get("student", {})).get("rendering"):
        for usage in found:
            usage.steps.extend(filter(None, [kind.conversion(rendering)]))
    return found


def _litert(snippet: Snippet, read: str, tokenizer: str | None) -> Usage:
    artifact = snippet.artifact
    assets, sources = [artifact.path, LABELS], [snippet.path]
    if tokenizer is not None:
        assets, sources = [*assets, VOCABULARY], [*sources, tokenizer]
    return Usage(
        platform="Android, with LiteRT",
        steps=[
            f"Put {enumerated(assets)} into app/src/main/assets and {enumerated(sources)} among the sources.",
            f"Input: {artifact.io.input.dtype} {artifact.io.input.shape}, {read}",
            _probabilities(artifact),
            "Line i of labels.txt names output i, counted from 0.",
        ],
        path=snippet.path,
        code=snippet.code,
    )


def _probabilities(artifact: Artifact) -> str:
    output = artifact.io.output
    if output.scale is None:
        return f"Output: {output.dtype} {output.shape}, probabilities that sum to 1."
    return f"Output: {output.dtype} {output.shape}; probability = (value − {output.zero_point}) × {output.scale}."


def _mediapipe(snippet: Snippet, read: str, tokenizer: str | None) -> Usage:
    return Usage(
        platform="Android, with MediaPipe Tasks",
        steps=[
            f"Put {snippet.artifact.path} into app/src/main/assets and {snippet.path} among the sources.",
            read,
        ],
        path=snippet.path,
        code=snippet.code,
    )


def _coreml(snippet: Snippet, read: str, tokenizer: str | None) -> Usage:
    parts = [snippet.artifact.path, snippet.path]
    if tokenizer is not None:
        parts += [tokenizer, VOCABULARY]
    return Usage(
        platform="iOS and macOS",
        steps=[
            f"Drag {enumerated(parts)} into the Xcode project.",
            read,
            "The output is the class label and the probability of every class; the labels are inside the file.",
        ],
        path=snippet.path,
        code=snippet.code,
    )


STEPS: Mapping[str, Callable[[Snippet, str, str | None], Usage]] = {
    "litert": _litert,
    "mediapipe": _mediapipe,
    "coreml": _coreml,
}
"""By the runtime that the source code calls (`tfkd.formats.AppCode`): what the developer of the app does.

They are called with the source code, how the input is read, and the source of the tokenizer, which images have not.
"""
