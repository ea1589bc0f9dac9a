"""TensorFlow operators allowed in graphs from elsewhere: those that only compute.

All others are refused: operators that read or write files, print, call Python, use the network, a device or a table,
keep state or are random, and operators that this version of TensorFlow does not know.
"""

import graphlib
from collections.abc import Collection, Iterator
from typing import Any

from tensorflow.core.framework import types_pb2

from tfkd.errors import RequestError, legible

_ELEMENTWISE = """
Abs Acos Acosh Add AddN AddV2 Angle ApproximateEqual Asin Asinh Atan Atan2 Atanh Betainc Bitcast BitwiseAnd BitwiseOr
BitwiseXor Bucketize Cast Ceil CheckNumerics CheckNumericsV2 ClipByValue Complex ComplexAbs Conj Cos Cosh Digamma Div
DivNoNan Equal Erf Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual Igamma Igammac Imag Inv Invert
IsFinite IsInf IsNan LeftShift Less LessEqual Lgamma Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod Mul
MulNoNan Ndtri Neg NextAfter NotEqual OnesLike Polygamma Pow Real RealDiv Reciprocal RightShift Rint Round Rsqrt Select
SelectV2 Sign Sin Sinh Sqrt Square SquaredDifference Sub Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy ZerosLike
Zeta
"""

_ACTIVATIONS = "Elu LeakyRelu LogSoftmax Relu Relu6 Selu Sigmoid Softmax Softplus Softsign"

_LAYERS = """
AvgPool AvgPool3D BatchNormWithGlobalNormalization BatchToSpace BatchToSpaceND BiasAdd BiasAddV1 BlockLSTM BlockLSTMV2
Conv Conv2D Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D Conv3DBackpropInput Conv3DBackpropInputV2 DepthToSpace
DepthwiseConv2dNative Dilation2D FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D
GRUBlockCell LRN LSTMBlockCell MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax SpaceToBatch SpaceToBatchND SpaceToDepth
"""

_QUANTIZATION = """
Dequantize FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel QuantizeAndDequantize
QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeV2
"""

_REDUCTIONS = """
All Any ArgMax ArgMin Bincount Cumprod Cumsum CumulativeLogsumexp DenseBincount EuclideanNorm InTopK InTopKV2 L2Loss Max
Mean Min NthElement Prod SegmentMax SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2
SegmentSum SegmentSumV2 Sum TopK TopKV2 UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum
"""

_SHAPES = """
BroadcastArgs BroadcastTo Concat ConcatOffset ConcatV2 Const DataFormatDimMap DataFormatVecPermute DynamicPartition
DynamicStitch EnsureShape ExpandDims Fill Gather GatherNd GatherV2 GuaranteeConst Identity IdentityN InvertPermutation
LinSpace LowerBound MirrorPad OneHot Pack Pad PadV2 ParallelDynamicStitch Placeholder PlaceholderWithDefault
PreventGradient Range Rank Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd Shape ShapeN Size Slice Snapshot
Split SplitV Squeeze StopGradient StridedSlice TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub
TensorScatterUpdate TensorStridedSliceUpdate Tile Transpose Unique UniqueV2 Unpack UnravelIndex UpperBound Where
"""

_LINEAR_ALGEBRA = """
BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky ConjugateTranspose Cross Diag DiagPart Einsum FFT FFT2D FFT3D IFFT
IFFT2D IFFT3D IRFFT IRFFT2D IRFFT3D LogMatrixDeterminant Lu MatMul MatrixBandPart MatrixDeterminant MatrixDiag
MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixInverse MatrixSetDiag MatrixSetDiagV2
MatrixSetDiagV3 MatrixSolve MatrixSquareRoot MatrixTriangularSolve Qr RFFT RFFT2D RFFT3D SelfAdjointEigV2 Svd
"""

_IMAGES = """
AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize ExtractGlimpse ExtractGlimpseV2
ExtractImagePatches HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3 NonMaxSuppressionV3
NonMaxSuppressionV4 NonMaxSuppressionV5 RGBToHSV ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
ScaleAndTranslate
"""

_CONTROL_FLOW = """
Assert Case ControlTrigger Enter Exit If LoopCond Merge NextIteration NoOp PartitionedCall StatefulPartitionedCall
StatelessCase StatelessIf StatelessWhile Switch While
"""

# Variables and the lists that loops fill; both live in the memory of one call.
_MEMORY = """
EmptyTensorList ReadVariableOp ResourceGather ResourceGatherNd TensorArrayCloseV3 TensorArrayConcatV3
TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3
TensorArrayWriteV3 TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem
TensorListLength TensorListPopBack TensorListPushBack TensorListReserve TensorListResize TensorListScatterV2
TensorListSetItem TensorListSplit TensorListStack VariableShape
"""

COMPUTING = frozenset(
    operator
    for kind in (
        *(_ELEMENTWISE, _ACTIVATIONS, _LAYERS, _QUANTIZATION, _REDUCTIONS, _SHAPES, _LINEAR_ALGEBRA),
        *(_IMAGES, _CONTROL_FLOW, _MEMORY),
    )
    for operator in kind.split()
)

_OPAQUE = (types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT)
_MOST_OPERATORS = 500_000  # with every function call inlined
_DEEPEST = 100  # nested calls


def check(graph: Any, name: str) -> None:
    """Refuses a graph with operators, in its body or in the functions of its library, that do more than compute.

    Nothing is run or imported. The time is linear in the size of the graph.

    Args:
        graph: a GraphDef.
        name: of the model, for messages.

    Raises:
        RequestError: an operator is not in `COMPUTING`, a function is missing or calls itself, or the graph is too deep
            or too large with its calls inlined.
    """
    functions = {function.signature.name for function in graph.library.function}
    bodies = {None: graph.node} | {each.signature.name: each.node_def for each in graph.library.function}
    calls: dict[str | None, list[str]] = {}
    for body, nodes in bodies.items():
        calls[body] = []
        for node in nodes:
            if node.op not in COMPUTING and node.op not in functions:
                raise RequestError(refusal(name, node, body))
            if "value" in node.attr and node.attr["value"].tensor.dtype in _OPAQUE:
                raise RequestError(f"{name}: the constant {shown(node.name)} holds no numbers; save the model again.")
            calls[body].extend(called(node, functions))
    if missing := sorted({each for names in calls.values() for each in names} - functions):
        raise RequestError(f"{name} is damaged: its graph calls the function {shown(missing[0])}, which is not there.")
    _check_calls(bodies, calls, name)


def called(node: Any, functions: Collection[str]) -> Iterator[str]:
    """Yields the names of the functions that a node calls or refers to in its attributes."""
    if node.op in functions:
        yield node.op
    for reference in references(node):
        yield reference.name


def references(node: Any) -> Iterator[Any]:
    """Yields every NameAttrList in the attributes of a node, nested ones included."""
    waiting = list(node.attr.values())
    while waiting:
        value = waiting.pop()
        for reference in (*((value.func,) if value.HasField("func") else ()), *value.list.func):
            yield reference
            waiting.extend(reference.attr.values())


def refusal(name: str, node: Any, function: str | None) -> str:
    """Returns the message about an operator that is not in the list."""
    where = f"node {shown(node.name)}" + (f" of the function {shown(function)}" if function else "")
    return (
        f"{name} cannot be opened safely: it needs the operator {shown(node.op)} ({where}), which is not one of those "
        "that only compute. Save the model without it; if you trust its author, run it with `tfkd export --allow-code`."
    )


def shown(text: str) -> str:
    """Returns a name from a foreign file in quotes, on one line and shortened."""
    return f"'{legible(text[:100])}{'…' if len(text) > 100 else ''}'"


def _check_calls(bodies: dict[str | None, Any], calls: dict[str | None, list[str]], name: str) -> None:
    """Refuses functions that call themselves, and graphs that are too deep or too large with their calls inlined."""
    try:
        order = tuple(graphlib.TopologicalSorter({body: set(names) for body, names in calls.items()}).static_order())
    except graphlib.CycleError as error:
        again = next(each for each in error.args[1] if each)
        raise RequestError(
            f"{name}: the function {shown(again)} of its graph calls itself; save the model without it."
        ) from None
    sizes: dict[str | None, int] = {}
    depths: dict[str | None, int] = {}
    for body in order:
        sizes[body] = min(len(bodies[body]) + sum(sizes[each] for each in calls[body]), _MOST_OPERATORS + 1)
        depths[body] = 1 + max((depths[each] for each in calls[body]), default=0)
        if sizes[body] > _MOST_OPERATORS or depths[body] > _DEEPEST:
            raise RequestError(
                f"{name}: the function calls of its graph are nested more than {_DEEPEST} deep, or amount to more than "
                f"{_MOST_OPERATORS:,} operators; save a smaller graph."
            )
