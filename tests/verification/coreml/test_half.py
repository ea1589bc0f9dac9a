import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.verification.coreml.graphs import few
from tfkd.verification.coreml.half import rounded

floats = st.floats(-70000, 70000, width=32)


@few
@given(st.lists(floats, min_size=1, max_size=9))
def test_rounds_as_numpy_does(numbers: list[float]) -> None:
    x = np.array([*numbers, 1e-8, 6e-8, 65519, 65520, -65520, 2049, 2051, 0.0], np.float32)
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(rounded(x), expected)
    np.testing.assert_array_equal(tf.function(rounded, autograph=False)(tf.constant(x)), expected)
