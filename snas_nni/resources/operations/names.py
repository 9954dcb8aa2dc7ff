"""Operations that compute no multiply-accumulates, by ATen name: a table, in a file of its own so that it is found."""

__all__ = ["ACTIVATION", "FREE", "NORMALIZATION"]

NORMALIZATION = {
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "_batch_norm_no_update", "_batch_norm_with_update", "cudnn_batch_norm", "native_layer_norm",
    "native_group_norm", "_fused_rms_norm",
}  # fmt: skip
ACTIVATION = {
    "relu", "relu_", "leaky_relu", "leaky_relu_", "gelu", "silu", "silu_", "sigmoid", "sigmoid_", "tanh", "tanh_",
    "hardtanh", "hardtanh_", "hardswish", "hardswish_", "hardsigmoid", "hardsigmoid_", "elu", "elu_", "softplus",
    "mish", "_softmax", "_safe_softmax", "_log_softmax", "_prelu_kernel", "celu", "log_sigmoid_forward", "glu",
    "threshold", "hardshrink", "softshrink", "rrelu_with_noise", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell",
}  # fmt: skip
FREE = {
    "view", "_unsafe_view", "reshape", "t", "transpose", "permute", "expand", "cat", "stack", "slice", "select",
    "split", "split_with_sizes", "chunk", "unbind", "unsqueeze", "squeeze", "clone", "copy_", "copy", "contiguous",
    "constant_pad_nd", "reflection_pad2d", "replication_pad2d", "_reshape_alias", "alias", "detach", "lift_fresh",
    "add", "add_", "sub", "sub_", "rsub", "mul", "mul_", "div", "div_", "neg", "pow", "sqrt", "rsqrt", "exp", "log",
    "abs", "sum", "maximum", "minimum", "clamp", "clamp_min", "clamp_max", "where", "masked_fill", "masked_fill_",
    "zeros", "zeros_like", "ones", "ones_like", "full", "full_like", "new_zeros", "new_ones", "new_full", "empty",
    "empty_like", "new_empty", "arange", "fill_", "zero_", "scalar_tensor", "_to_copy", "to", "index", "index_select",
    "gather", "roll", "flip", "repeat", "pixel_shuffle", "upsample_nearest2d", "channel_shuffle", "as_strided",
    "new_empty_strided", "empty_strided", "_local_scalar_dense", "eq", "ne", "lt", "gt", "le", "ge", "logical_not",
    "logical_and", "any", "all", "bitwise_not", "max", "min", "amax", "amin", "erf", "bernoulli_", "native_dropout",
    "unfold", "triu", "tril", "cumsum", "topk", "sort", "argmax", "im2col", "native_channel_shuffle", "view_as",
    "_assert_async", "tanh_backward", "squeeze_", "unsqueeze_", "item", "is_same_size", "sin", "cos", "transpose_",
    "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "sign", "square", "reciprocal", "exp_", "pow_",
    "sqrt_", "log1p", "expm1", "log2", "floor", "ceil", "round", "trunc", "floor_divide", "remainder", "lerp",
    "addcmul", "addcdiv", "prod", "cumprod", "logsumexp", "linalg_vector_norm", "std", "var", "var_mean", "std_mean",
    "aminmax", "scatter", "scatter_", "scatter_add", "index_put_", "index_fill_", "index_add", "diagonal",
    "linspace", "rand", "randn", "rand_like", "randn_like", "randint", "isnan", "isinf", "bitwise_and", "bitwise_or",
    "logical_or", "pixel_unshuffle", "reflection_pad1d", "reflection_pad3d", "replication_pad1d",
    "replication_pad3d", "upsample_nearest1d", "upsample_nearest3d", "atan2", "nonzero", "masked_select",
    "col2im", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "rot90",
    "diag_embed", "block_diag", "masked_scatter", "index_fill", "index_copy", "index_put", "put", "take", "renorm",
    "norm", "median", "nanmedian", "mode", "argmin", "kthvalue", "cummax", "cummin", "logcumsumexp", "count_nonzero",
    "_unique2", "unique_dim", "histc", "bincount", "bucketize", "searchsorted", "bernoulli", "multinomial", "uniform",
    "normal", "random", "exponential", "tril_indices", "triu_indices",
}  # fmt: skip
