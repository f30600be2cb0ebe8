"""The pipeline of bench_decode.ts in torchvision, for comparison: the first line on standard input names the files, each
further line asks for one round, the answer is its milliseconds of processor time. Needs torch and torchvision; it is no
part of the product."""

import sys
import time

import torch
import PIL
from PIL import Image

# A CUDA build of torchvision registers operators that a CPU build of torch does not know; none is used here.
_register_fake = torch.library.register_fake
torch.library.register_fake = lambda name, *args, **options: (
    (lambda function: function) if str(name).startswith("torchvision::") else _register_fake(name, *args, **options)
)
import torchvision  # noqa: E402
from torchvision import transforms  # noqa: E402

torch.set_num_threads(1)
transform = transforms.Compose(
    [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
)
files = sys.stdin.readline().rstrip("\n").split("\t")
print(f"torchvision {torchvision.__version__}, Pillow {PIL.__version__}", flush=True)
for _ in sys.stdin:
    start = time.process_time()
    for path in files:
        with open(path, "rb") as file:
            image = Image.open(file).convert("RGB")
        transform(image), transform(image)
    print((time.process_time() - start) * 1000, flush=True)
