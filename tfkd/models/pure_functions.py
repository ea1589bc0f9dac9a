"""The public functions of TensorFlow that an operator layer of Keras 2 may name: those that only compute.

Left out are functions that read files (`nn.fixed_unigram_candidate_sampler`), decode, call Python, or are random.
"""

_MATH = """
abs acos acosh add add_n angle argmax argmin asin asinh atan atan2 atanh bincount ceil conj cos cosh count_nonzero
cumprod cumsum cumulative_logsumexp digamma divide divide_no_nan equal erf erfc erfinv exp expm1 floor floordiv floormod
greater greater_equal imag in_top_k invert_permutation is_finite is_inf is_nan l2_normalize less less_equal lgamma log
log1p log_sigmoid log_softmax logical_and logical_not logical_or logical_xor maximum minimum mod multiply
multiply_no_nan negative not_equal polyval pow real reciprocal reciprocal_no_nan reduce_all reduce_any
reduce_euclidean_norm reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_std reduce_sum
reduce_variance rint round rsqrt scalar_mul segment_max segment_mean segment_min segment_prod segment_sum sigmoid sign
sin sinh softmax softplus softsign sqrt square squared_difference subtract tan tanh top_k truediv unsorted_segment_max
unsorted_segment_mean unsorted_segment_min unsorted_segment_prod unsorted_segment_sqrt_n unsorted_segment_sum xdivy
xlog1py xlogy zero_fraction
"""

_NN = """
atrous_conv2d atrous_conv2d_transpose avg_pool avg_pool1d avg_pool2d avg_pool3d batch_norm_with_global_normalization
batch_normalization bias_add conv1d conv1d_transpose conv2d conv2d_transpose conv3d conv3d_transpose conv_transpose
convolution crelu depth_to_space depthwise_conv2d dilation2d elu embedding_lookup erosion2d gelu in_top_k l2_loss
l2_normalize leaky_relu local_response_normalization log_softmax lrn max_pool max_pool1d max_pool2d max_pool3d
max_pool_with_argmax moments normalize_moments pool relu relu6 selu separable_conv2d sigmoid silu softmax softplus
softsign space_to_batch space_to_depth sufficient_statistics swish tanh top_k weighted_moments zero_fraction
"""

_NN_V1 = "avg_pool_v2 depthwise_conv2d_native fused_batch_norm max_pool_v2 relu_layer xw_plus_b"

_LINALG = """
adjoint band_part cholesky cross det diag diag_part einsum eye global_norm inv l2_normalize lstsq lu matmul
matrix_transpose matvec norm normalize pinv qr set_diag solve sqrtm svd tensor_diag tensor_diag_part tensordot trace
triangular_solve
"""

_IMAGE = """
adjust_brightness adjust_contrast adjust_gamma adjust_hue adjust_saturation central_crop convert_image_dtype
crop_and_resize crop_to_bounding_box extract_patches flip_left_right flip_up_down grayscale_to_rgb hsv_to_rgb
image_gradients pad_to_bounding_box per_image_standardization resize resize_with_crop_or_pad resize_with_pad
rgb_to_grayscale rgb_to_hsv rgb_to_yiq rgb_to_yuv rot90 sobel_edges total_variation transpose yiq_to_rgb yuv_to_rgb
"""

_IMAGE_V1 = "extract_image_patches resize_area resize_bicubic resize_bilinear resize_image_with_pad resize_images"

_BITWISE = "bitwise_and bitwise_or bitwise_xor invert left_shift right_shift"
_OPERATORS = "add eq getitem ne"

_TENSORS = """
broadcast_to cast clip_by_value concat constant convert_to_tensor expand_dims gather gather_nd identity one_hot ones
ones_like pad range rank repeat reshape reverse roll shape size slice split squeeze stack stop_gradient strided_slice
tile transpose unstack where zeros zeros_like
"""
_TENSORS_V1 = "expand_dims gather ones_like pad shape size squeeze transpose where zeros_like"

PURE_FUNCTIONS = frozenset(
    f"{module}{name}"
    for module, names in (
        *(("math.", _MATH), ("nn.", _NN), ("linalg.", _LINALG), ("image.", _IMAGE), ("bitwise.", _BITWISE)),
        *(("__operators__.", _OPERATORS), ("", _TENSORS), ("compat.v1.", _TENSORS_V1), ("compat.v1.math.", _MATH)),
        *(("compat.v1.nn.", _NN), ("compat.v1.nn.", _NN_V1), ("compat.v1.image.", _IMAGE_V1)),
    )
    for name in names.split()
)
