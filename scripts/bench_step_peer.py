"""The training step of bench_step.ts in PyTorch, for comparison: a line on standard input asks for one step, the
answer is its milliseconds. Needs torch and torchvision; it is no part of the product."""

import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

# A CUDA build of torchvision registers operators that a CPU build of torch does not know; none is used here.
_register_fake = torch.library.register_fake
torch.library.register_fake = lambda name, *args, **options: (
    (lambda function: function) if str(name).startswith("torchvision::") else _register_fake(name, *args, **options)
)
import torchvision  # noqa: E402

batch, precision, threads, layout = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(threads)
torch.manual_seed(0)

encoder = torchvision.models.resnet18()
encoder.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
encoder.maxpool, encoder.fc = nn.Identity(), nn.Identity()
projection = nn.Sequential(
    nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 64, bias=False), nn.BatchNorm1d(64)
)
head = nn.Sequential(nn.Linear(1024, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 36))
probe = nn.Linear(512, 10)
model = nn.ModuleList([encoder, projection, head, probe])
if layout == "channels_last":
    model.to(memory_format=torch.channels_last)
parameters = list(model.parameters())
decayed = [p for p in parameters if p.ndim > 1]
plain = [p for p in parameters if p.ndim <= 1]
buffers = {p: torch.zeros_like(p) for p in parameters}

views = torch.rand(2 * batch, 3, 32, 32)
if layout == "channels_last":
    views = views.to(memory_format=torch.channels_last)
bins = torch.randint(0, 6, (batch, 2, 3))
labels = torch.randint(0, 10, (batch,))


def losses():
    features = encoder(views)
    z = F.normalize(projection(features).float())
    logits = (z @ z.T / 0.5).fill_diagonal_(-1e9)
    partner = torch.arange(2 * batch).roll(batch)
    contrast = F.cross_entropy(logits, partner)
    manipulation = head(torch.cat(features.chunk(2), 1)).view(-1, 6, 2, 3)
    supervised = probe(features.detach())
    return (
        2 * contrast
        + F.cross_entropy(manipulation.float(), bins)
        + F.cross_entropy(supervised.float(), torch.cat([labels, labels]))
    )


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
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        loss = losses()
    loss.backward()
    update(decayed, 1e-6, True)
    update(plain, 0, False)


print("ready", torch.__version__, flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    step()
    print((time.perf_counter() - start) * 1000, flush=True)
