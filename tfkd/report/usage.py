"""How an app uses the files of a bundle: said once, shown in the report and in the model card."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from tfkd.export.manifest import Artifact, Manifest


@dataclass(frozen=True)
class Usage:
    """The instructions for one platform."""

    platform: str
    steps: list[str]
    language: str
    code: str


def usages(manifest: Manifest) -> list[Usage]:
    """Returns instructions for Android and iOS, each where the bundle holds files for it."""
    tflite = [artifact for artifact in manifest.artifacts if artifact.format == "tflite"]
    coreml = [artifact for artifact in manifest.artifacts if artifact.format != "tflite"]
    found = []
    if tflite:
        found.append(_android(next((each for each in tflite if each.precision == "int8"), tflite[0])))
    if coreml:
        found.append(_ios(next((each for each in coreml if each.format == "mlpackage"), coreml[0])))
    modality = manifest.recipe.get("student", {}).get("modality", "rgb")
    if modality != "rgb":
        for usage in found:
            usage.steps.append(
                f"The model knows pictures of the modality {modality} alone: make that of the photo first."
            )
    return found


def _android(artifact: Artifact) -> Usage:
    _, height, width, _ = artifact.io.input.shape
    classes = artifact.io.output.shape[-1]
    quantized = artifact.io.input.dtype == "uint8"
    put = "input.put(channel.toByte())" if quantized else "input.putFloat(channel.toFloat())"
    scores = f"Array(1) {{ {'ByteArray' if quantized else 'FloatArray'}({classes}) }}"
    score = "scores[0][it].toInt() and 0xff" if quantized else "scores[0][it]"
    probability = (
        f"Output: uint8 [1, {classes}]; probability = (value − {artifact.io.output.zero_point}) × "
        f"{artifact.io.output.scale}."
        if quantized
        else f"Output: float32 [1, {classes}], probabilities that sum to 1."
    )
    return Usage(
        platform="Android",
        steps=[
            f"Put {artifact.path} and labels.txt into app/src/main/assets and add the LiteRT library.",
            f"Input: {artifact.io.input.dtype} {artifact.io.input.shape}, the upright photo's centre square resized "
            f"to {width} × {height}, as raw RGB from 0 to 255. Do not normalise: the model does it.",
            probability,
            "Line i of labels.txt names output i, counted from 0.",
        ],
        language="kotlin",
        code=f"""\
val model = Interpreter(modelBuffer)                 // {_name(artifact)}, mapped from the assets
val input = ByteBuffer.allocateDirect({height} * {width} * {3 if quantized else 12}).order(ByteOrder.nativeOrder())
for (pixel in pixels)                                // {height} rows of {width}, from the resized bitmap
    for (channel in intArrayOf(Color.red(pixel), Color.green(pixel), Color.blue(pixel)))
        {put}
val scores = {scores}
model.run(input.rewind(), scores)
val best = scores[0].indices.maxBy {{ {score} }}
println(labels[best])                                // the lines of labels.txt""",
    )


def _ios(artifact: Artifact) -> Usage:
    module = re.sub(r"\W", "_", PurePosixPath(artifact.path).stem)
    return Usage(
        platform="iOS and macOS",
        steps=[
            f"Drag {artifact.path} into the Xcode project; Xcode makes the class {module}.",
            "The input is an image. Vision crops, resizes and converts it; do not normalise: the model does it.",
            "The output is the class label and the probability of every class; the labels are inside the file.",
        ],
        language="swift",
        code=f"""\
let model = try VNCoreMLModel(for: {module}(configuration: MLModelConfiguration()).model)
let request = VNCoreMLRequest(model: model) {{ request, _ in
    let best = (request.results as? [VNClassificationObservation])?.first
    print(best?.identifier ?? "none", best?.confidence ?? 0)
}}
request.imageCropAndScaleOption = .centerCrop
try VNImageRequestHandler(cgImage: photo, orientation: orientation).perform([request])""",
    )


def _name(artifact: Artifact) -> str:
    return re.sub(r"[^\w.-]", "_", PurePosixPath(artifact.path).name)
