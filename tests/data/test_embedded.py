import numpy as np

from tfkd.data import open_source
from tfkd.recipe import Data


def test_fashion_mnist_mini_is_whole_and_stratified() -> None:
    images = open_source(Data(source="embedded:fashion_mnist_mini"), 1)
    assert images.classes == (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    assert np.bincount(images.train.labels).tolist() == [540] * 10
    assert np.bincount(images.validation.labels).tolist() == [60] * 10
    assert np.bincount(images.test.labels).tolist() == [100] * 10
    assert images.rejected == ()
    photo = np.asarray(images.test.load(0))
    assert (photo.shape, photo.dtype) == ((28, 28, 3), np.uint8)
    assert (photo[..., 0] == photo[..., 2]).all()
    # Trousers are narrow, so their outer columns are dark; pullovers fill the frame.
    trouser, pullover = (
        np.mean([np.asarray(images.test.load(i))[:, :6] for i in np.flatnonzero(images.test.labels == k)])
        for k in (1, 2)
    )
    assert trouser < pullover / 4
