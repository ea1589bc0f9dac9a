"""The classes and functions of Keras 2 that a model's configuration may name: those that only compute.

Left out are layers that run code of the file (Lambda, ResidualWrapper, DropoutWrapper), load a SavedModel, read a
vocabulary, or choose a device.
"""

_LAYERS = """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D AveragePooling2D
AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization Bidirectional CategoryEncoding CenterCrop Concatenate
Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D
Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose Cropping1D Cropping2D
Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Flatten GRU
GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D
GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization Identity InputLayer LSTM LSTMCell Layer LayerNormalization
LeakyReLU LocallyConnected1D LocallyConnected2D Masking MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D
MaxPooling3D Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute RNN RandomBrightness RandomContrast
RandomCrop RandomFlip RandomHeight RandomRotation RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling
Reshape Resizing SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D SimpleRNN SimpleRNNCell
Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells Subtract
SyncBatchNormalization ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D
ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
_OLD_LAYERS = """
BatchNormalizationV1 BatchNormalizationV2 CuDNNGRU CuDNNLSTM GRUCellV1 GRUCellV2 GRUV1 GRUV2 LSTMCellV1 LSTMCellV2
LSTMV1 LSTMV2
"""

_INITIALIZERS = """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones Orthogonal RandomNormal
RandomUniform TruncatedNormal VarianceScaling Zeros constant glorot_normal glorot_uniform he_normal he_uniform identity
lecun_normal lecun_uniform ones orthogonal random_normal random_uniform truncated_normal variance_scaling zeros
"""
_OLD_INITIALIZERS = """
ConstantV2 GlorotNormalV2 GlorotUniformV2 HeNormalV2 HeUniformV2 IdentityV2 LecunNormalV2 LecunUniformV2 OnesV2
OrthogonalV2 RandomNormalV2 RandomUniformV2 TruncatedNormalV2 VarianceScalingV2 ZerosV2 glorot_normalV2 glorot_uniformV2
he_normalV2 he_uniformV2 lecun_normalV2 lecun_uniformV2 normal uniform one zero
"""
_REGULARIZERS = "L1 L1L2 L2 OrthogonalRegularizer l1 l2 orthogonal_regularizer"
_CONSTRAINTS = (
    "MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm max_norm min_max_norm non_neg radial_constraint unit_norm"
)

_LOSSES = """
BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalHinge
CosineSimilarity Hinge Huber KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError
MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge
"""
_METRICS = """
AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy CategoricalCrossentropy CategoricalHinge
CosineSimilarity F1Score FBetaScore FalseNegatives FalsePositives Hinge IoU KLDivergence LogCoshError Mean
MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanRelativeError MeanSquaredError MeanSquaredLogarithmicError
OneHotIoU OneHotMeanIoU Poisson Precision PrecisionAtRecall R2Score Recall RecallAtPrecision RootMeanSquaredError
SensitivityAtSpecificity SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy
SpecificityAtSensitivity SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives TruePositives
"""
_OPTIMIZERS = "Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lion Nadam RMSprop SGD"
_SCHEDULES = """
CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay
"""
_MODELS = (("functional", "Functional"), ("sequential", "Sequential"), ("training", "Model"))
_OPERATIONS = "TFOpLambda SlicingOpLambda"

NODE_LAYER = "TensorFlowOpLayer"
FUNCTION_LAYERS = (*_OPERATIONS.split(), NODE_LAYER)

CLASSES: dict[str, frozenset[str]] = {
    module: frozenset(names.split())
    for module, names in (
        *(("keras", "Model Sequential"), ("keras.models", "Model Sequential")),
        *((f"keras.{part}engine.{module}", name) for part in ("src.", "") for module, name in _MODELS),
        *((f"keras.{part}layers.core.tf_op_layer", _OPERATIONS) for part in ("src.", "")),
        *((f"keras.{part}engine.base_layer", NODE_LAYER) for part in ("src.", "")),
        *(("keras.layers", _LAYERS), ("keras.layers.experimental", _LAYERS)),
        ("keras.layers.experimental.preprocessing", _LAYERS),
        ("keras.src.applications.convnext", "LayerScale"),
        ("keras.src.applications.inception_resnet_v2", "CustomScaleLayer"),
        *(("keras.initializers", _INITIALIZERS), ("keras.regularizers", _REGULARIZERS)),
        *(("keras.constraints", _CONSTRAINTS), ("keras.mixed_precision", "Policy LossScaleOptimizer")),
        *(("keras.losses", _LOSSES), ("keras.metrics", _METRICS), ("keras.optimizers.schedules", _SCHEDULES)),
        *((f"keras.optimizers{part}", _OPTIMIZERS) for part in ("", ".legacy", ".experimental")),
    )
}
"""By the module that a configuration names; tf_keras's own spelling of it begins with `tf_`."""

OLD_CLASSES = frozenset().union(
    *(CLASSES[f"keras.{module}"] for module in ("models", "layers", "initializers", "regularizers", "constraints")),
    *(names.split() for names in (_OLD_LAYERS, _OLD_INITIALIZERS, _OPERATIONS)),
    (NODE_LAYER, "Functional", "Policy", "PolicyV1"),
)
"""Of configurations that name no modules, as HDF5 files have them."""

_ACTIVATIONS = """
elu exponential gelu hard_sigmoid linear mish relu selu sigmoid softmax softplus softsign swish tanh
"""
_LOSS_FUNCTIONS = """
binary_crossentropy binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy categorical_hinge
cosine_similarity hinge huber kl_divergence log_cosh mean_absolute_error mean_absolute_percentage_error
mean_squared_error mean_squared_logarithmic_error poisson sparse_categorical_crossentropy squared_hinge
"""
_METRIC_FUNCTIONS = """
binary_accuracy categorical_accuracy sparse_categorical_accuracy sparse_top_k_categorical_accuracy
top_k_categorical_accuracy
"""
FUNCTIONS = frozenset(f"{_ACTIVATIONS} {_LOSS_FUNCTIONS} {_METRIC_FUNCTIONS}".split())
FUNCTION_MODULES = ("builtins", "keras.activations", "keras.losses", "keras.metrics")

PLAIN_FORMS = ("TensorShape", "__tuple__", "__ellipsis__", "__bytes__", "__tensor__", "__numpy__")
"""Values that JSON does not have, written as if they were classes."""
