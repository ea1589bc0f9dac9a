"""Photos and views that stay in memory, where that is small enough, because they are looked at again in every epoch."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from tfkd.data.dataset import Split

_BYTES_A_PIXEL = 4  # as Pillow holds RGB
_SAMPLE = 64  # photos from whose sizes those of a whole split are foretold


@dataclass
class _Share:
    photos: dict[int, Image.Image] = field(default_factory=dict)
    bytes: int = 0
    is_open: bool = True


class Kept:
    """Keeps the decoded photos of those splits of which all fit into what the others leave of a limit.

    Of a split that is too large nothing is kept: some of its photos would cost memory and save little. What is kept
    goes when its split goes. Thread-safe.

    Args:
        limit: bytes that all photos together never exceed.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._shares: WeakKeyDictionary[Split, _Share] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """The size of all that is kept."""
        return sum(share.bytes for share in list(self._shares.values()))

    def load(self, split: Split, i: int) -> Image.Image:
        """Returns `split.load(i)`, decoded now or before.

        Raises:
            RequestError: the photo has been damaged or removed since it was checked.
        """
        with self._lock:
            share = self._shares.setdefault(split, _Share())
        photo = share.photos.get(i)
        if photo is None:
            photo = split.load(i)
            with self._lock:
                self._keep(share, i, photo, len(split))
        return photo

    def _keep(self, share: _Share, i: int, photo: Image.Image, count: int) -> None:
        if not share.is_open or i in share.photos:
            return
        known, size = len(share.photos) + 1, share.bytes + _BYTES_A_PIXEL * photo.width * photo.height
        foretold = size * count // known if known >= _SAMPLE else size
        if self.bytes - share.bytes + foretold > self.limit:
            share.photos, share.bytes, share.is_open = {}, 0, False
        else:
            share.photos[i], share.bytes = photo.copy(), size
            share.photos[i].info.clear()  # what a file says of itself can be larger than its pixels


class Views:
    """Keeps finished views of one split, size and augmentation until a limit is reached. Thread-safe.

    Args:
        limit: bytes that they never exceed, but for those that other threads finish at the same time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._finished: dict[tuple[int, ...], np.ndarray] = {}

    def load(self, index: int, seed: np.ndarray, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Returns the view of photo `index` with this seed (int [2]), made now or before; not to be written to."""
        key = (index, *seed.tolist())
        view = self._finished.get(key)
        if view is None:
            view = make()
            if (len(self._finished) + 1) * view.nbytes <= self.limit:
                self._finished[key] = view
        return view
