"""The training step of bench_gpu.ts in PyTorch, for comparison, with views that are there already: a line on standard
input asks for so many steps, the answer is their milliseconds and the peak of memory in bytes. Arguments: batch, eager
or compile, device. Needs torch alone; it is no part of the product."""

import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

batch, mode, device = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.manual_seed(0)
torch.backends.cudnn.benchmark = True
on_gpu = device.startswith("cuda")


class Block(nn.Module):
    """torchvision's BasicBlock."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def resnet18():
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    inputs = 64
    for outputs, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


encoder = resnet18()
projection = nn.Sequential(
    nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 64, bias=False), nn.BatchNorm1d(64)
)
head = nn.Sequential(nn.Linear(1024, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 36))
probe = nn.Linear(512, 10)
model = nn.ModuleList([encoder, projection, head, probe]).to(device, memory_format=torch.channels_last)
parameters = list(model.parameters())
decayed = [p for p in parameters if p.ndim > 1]
plain = [p for p in parameters if p.ndim <= 1]
buffers = {p: torch.zeros_like(p) for p in parameters}

views = torch.rand(2 * batch, 3, 32, 32, device=device).to(memory_format=torch.channels_last)
bins = torch.randint(0, 6, (batch, 2, 3), device=device)
labels = torch.randint(0, 10, (batch,), device=device)
partner = torch.arange(2 * batch, device=device).roll(batch)


def losses():
    features = encoder(views)
    z = F.normalize(projection(features).float())
    with torch.autocast(device.split(":")[0], enabled=False):
        logits = (z @ z.T / 0.5).fill_diagonal_(-1e9)
    contrast = F.cross_entropy(logits, partner)
    manipulation = head(torch.cat(features.chunk(2), 1)).view(-1, 6, 2, 3)
    supervised = probe(features.detach())
    return (
        2 * contrast
        + F.cross_entropy(manipulation.float(), bins)
        + F.cross_entropy(supervised.float(), torch.cat([labels, labels]))
    )


if mode == "compile":
    losses = torch.compile(losses)


@torch.no_grad()
def update(group, decay, trust, lr=0.1, momentum=0.9):
    gradients = [p.grad for p in group]
    d = torch._foreach_add(gradients, group, alpha=decay) if decay else gradients
    if trust:
        p, g = torch.stack(torch._foreach_norm(group)), torch.stack(torch._foreach_norm(gradients))
        torch._foreach_mul_(d, list((0.001 * p / (g + decay * p + 1e-8)).unbind()))
    m = [buffers[p] for p in group]
    torch._foreach_mul_(m, momentum)
    torch._foreach_add_(m, d)
    torch._foreach_add_(group, m, alpha=-lr)


def step():
    for p in parameters:
        p.grad = None
    with torch.autocast(device.split(":")[0], torch.bfloat16):
        loss = losses()
    loss.backward()
    update(decayed, 1e-6, True)
    update(plain, 0, False)


print("ready", torch.__version__, flush=True)
for line in sys.stdin:
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    for _ in range(int(line)):
        step()
    if on_gpu:
        torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated() if on_gpu else 0
    print((time.perf_counter() - start) * 1000, peak, flush=True)
