"""Makes test/fixtures/augment/pillow.safetensors: crops that shrink, as Pillow resizes them. Needs numpy, Pillow, safetensors.

    python scripts/augment_fixtures.py
"""

import pathlib

import numpy
from PIL import Image
from safetensors.numpy import save_file

HEIGHT, WIDTH, SIZE = 60, 75, 24
# Top, left, height, width: shrunk on both axes, on one, on none, whole, at the far corner.
CROPS = [(3, 5, 50, 61), (0, 10, 20, 65), (20, 30, 15, 18), (0, 0, 60, 75), (31, 44, 29, 31)]

random = numpy.random.default_rng(0)
# Blocks, so that neighbouring pixels are both alike and very different.
images = random.integers(0, 256, (len(CROPS), HEIGHT // 5, WIDTH // 5, 3)).repeat(5, 1).repeat(5, 2)
images = (images + random.integers(0, 32, (len(CROPS), HEIGHT, WIDTH, 3))).clip(0, 255).astype(numpy.uint8)
resized = numpy.stack([
    numpy.asarray(Image.fromarray(image).crop((x, y, x + w, y + h)).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    for image, (y, x, h, w) in zip(images, CROPS)
])
folder = pathlib.Path(__file__).parent.parent / "test/fixtures/augment"
folder.mkdir(parents=True, exist_ok=True)
save_file(
    {
        "images": numpy.ascontiguousarray(images.transpose(0, 3, 1, 2)),
        "crops": numpy.array(CROPS, dtype=numpy.int64),
        "resized": numpy.ascontiguousarray(resized.transpose(0, 3, 1, 2)),
    },
    folder / "pillow.safetensors",
)
