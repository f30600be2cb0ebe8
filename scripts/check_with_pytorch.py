#!/usr/bin/env python3
"""Checks this project's file formats against the real PyTorch and safetensors, in both directions.

    python3 scripts/check_with_pytorch.py                     every check; needs deno, torch and safetensors
    python3 scripts/check_with_pytorch.py --checkpoint C      also exports C and loads it into torchvision and timm
    python3 scripts/check_with_pytorch.py --speed             compares the time to load 100 MB
    python3 scripts/check_with_pytorch.py --fixtures          writes test/fixtures/checkpoint anew
    python3 scripts/check_with_pytorch.py --names             writes its encoders.json anew: the names of others' models

The tests themselves need no Python: they compare with the fixtures, byte by byte with `written_*`, which are this project's
own files that the checks here have passed.
"""

import argparse
import collections
import hashlib
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

import safetensors
import safetensors.torch
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "test" / "fixtures" / "checkpoint"
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
          torch.int8, torch.uint8, torch.bool]


def peer(*arguments):
    """Runs this project's own side and returns what it prints."""
    command = ["deno", "run", "--allow-read", "--allow-write", "--allow-ffi", "--allow-env"]
    command += [str(ROOT / "scripts/checkpoint_peer.ts"), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def dense_bytes(tensor):
    """The elements in row-major order, little-endian."""
    flat = tensor.detach().contiguous().reshape(-1)
    return bytes(flat.view(torch.uint8).tolist()) if flat.numel() else b""


def digest(value, path=""):
    """Every tensor that this project knows, by the keys that lead to it, as the peer's `digest` has it."""
    if isinstance(value, torch.Tensor):
        if value.is_sparse or value.dtype not in DTYPES:
            return {}
        dtype = str(value.dtype).removeprefix("torch.")
        return {path: f"{dtype} [{', '.join(map(str, value.shape))}] {hashlib.sha256(dense_bytes(value)).hexdigest()}"}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else []
    return {name: text for key, inner in pairs for name, text in digest(inner, f"{path}/{key}").items()}


def tensors():
    """Tensors of every type, and of the layouts that are special."""
    generator = torch.Generator().manual_seed(1)
    made = {}
    for dtype in DTYPES:
        base = torch.rand(4, 6, generator=generator) * 100
        made[str(dtype)] = (base > 50) if dtype == torch.bool else base.to(dtype)
    base = made["torch.float32"]
    made.update(
        scalar=torch.tensor(-7),
        empty=torch.empty(0, 3),
        transposed=base.t(),
        slice=base[1:3, ::2],
        column=base[:, 1],
        again=base,
        expanded=torch.tensor([1.5, 2.5]).reshape(2, 1).expand(2, 3),
        channels_last=torch.rand(4, 3, 2, 2, generator=generator).to(memory_format=torch.channels_last),
        permuted_double=torch.rand(2, 3, 4, dtype=torch.float64, generator=generator).permute(2, 0, 1),
        parameter=torch.nn.Parameter(torch.ones(2, 2)),
        not_finite=torch.tensor([float("inf"), float("-inf"), float("nan")]),
    )
    return made


def plain():
    """Plain data of every kind that weights_only=True accepts."""
    return {
        "none": None, "flags": [True, False], "ints": [0, 255, 256, 65536, -1, -(2**31), 2**40, 2**70, -(2**70)],
        "floats": [0.1, -2.5, 1e300, float("inf"), 4.0], "texts": ["", "größe 日本 🎈"], "bytes": b"\x00\x7f\x80\xff",
        "tuple": (1, ("a", ())), "dict": {0: "zero", "0": "text", (1, 2): "pair"},
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]), "set": {3},
        "size": torch.Size([2, 3]), "nested": [[[[]]], {"x": {}}],
    }


def odd():
    """Objects that real checkpoints hold beside their weights."""
    shared = ["the same list"]
    return {
        "weights": {"w": torch.tensor([1.0, 2.0])},
        "namespace": argparse.Namespace(lr=0.1, names=["a", "b"]),
        "path": pathlib.PurePosixPath("some/folder"),
        "device": torch.device("cpu"), "dtype": torch.float16,
        "complex": torch.tensor([1 + 2j]), "sparse": torch.eye(2).to_sparse(),
        "default": collections.defaultdict(list, {"k": [1]}), "counter": collections.Counter("aab"),
        "class": argparse.Namespace, "shared": [shared, shared], "frozen": frozenset([1]),
    }


def trained():
    """A real training run's optimiser, schedule and model state, in Lightning's layout."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    for _ in range(2):
        model(torch.rand(4, 3)).square().sum().backward()
        optimizer.step()
        schedule.step()
    return {
        "epoch": 1, "global_step": 2, "pytorch-lightning_version": "1.5.9", "state_dict": model.state_dict(),
        "callbacks": {}, "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [schedule.state_dict()],
        "hparams_name": "kwargs", "hyper_parameters": {"lr": 0.5, "args": argparse.Namespace(gpus=1)},
    }


def check(condition, what):
    print("ok  " if condition else "FAIL", what)
    if not condition:
        raise SystemExit(1)


def check_reading(folder):
    """PyTorch writes, this project reads."""
    for name, made in {"tensors": tensors(), "odd": odd(), "trained": trained()}.items():
        for form in (True, False):
            path = folder / f"{name}-{form}.pt"
            torch.save(made, path, _use_new_zipfile_serialization=form)
            check(json.loads(peer("digest", str(path))) == digest(made), f"read {name}, {'zip' if form else 'older form'}")
    for protocol in range(1, 6):
        path = folder / f"protocol-{protocol}.pt"
        torch.save(tensors(), path, pickle_protocol=protocol)
        check(json.loads(peer("digest", str(path))) == digest(tensors()), f"read pickle protocol {protocol}")
    path = folder / "a.safetensors"
    whole = {k: v.detach().clone().contiguous() for k, v in tensors().items()}
    safetensors.torch.save_file(whole, path, {"note": "x"})
    check(json.loads(peer("digest", str(path))) == digest(whole), "read safetensors")


def check_random_layouts(folder, rounds=40):
    """Views of views, thousands of elements large, so that reading in pieces is tried too."""
    pick = random.Random(3)
    made = {}
    for i in range(rounds):
        dtype = pick.choice(DTYPES)
        tensor = (torch.rand([pick.randint(1, 12) for _ in range(pick.randint(1, 5))]) * 200).to(dtype)
        if i % 8 == 0:
            tensor = (torch.rand(700, 900) * 200).to(dtype)
        for _ in range(pick.randint(0, 3)):
            d = pick.randrange(tensor.dim())
            kind = pick.randrange(3)
            if kind == 0:
                tensor = tensor.transpose(d, pick.randrange(tensor.dim()))
            elif kind == 1:
                tensor = tensor.narrow(d, tensor.shape[d] // 3, (tensor.shape[d] + 1) // 2)
            else:
                steps = [slice(None)] * tensor.dim()
                steps[d] = slice(None, None, pick.randint(1, 3))
                tensor = tensor[tuple(steps)]
        made[str(i)] = tensor
    torch.save(made, folder / "layouts.pt")
    check(json.loads(peer("digest", str(folder / "layouts.pt"))) == digest(made), f"read {rounds} random layouts")


def check_writing(folder):
    """This project writes, PyTorch and safetensors read."""
    peer("write", str(folder))
    for name in ("tensors.pt", "values.pt", "lightning.ckpt"):
        for mmap in (False, True):
            loaded = torch.load(folder / name, weights_only=True, mmap=mmap)
            check(digest(loaded) == json.loads(peer("digest", str(folder / name))), f"PyTorch opens {name}, mmap={mmap}")
    values = torch.load(folder / "values.pt", weights_only=True)
    check(values["long"] == [-(2**63), 2**64, 123456789012345678901234567890, -1, 128, -129], "integers of any size")
    check(values["dict"] == {0: "zero", 2: "two", "2": "text", (1, 2): "pair"}, "dicts with integer keys")
    check(values["texts"][2:4] == ["größe 日本 🎈", "torch\nFloatStorage\n"], "texts")
    check(values["bytes"] == b"\x00\x7f\x80\xff" and values["tuple"] == (1, ("a", ())), "bytes and tuples")
    check([type(x) for x in values["floats"]] == [float] * 7, "floats that are whole numbers")
    twins = values["the same tensor"]
    check(twins[0] is twins[1], "a tensor that occurs twice is stored once")
    path = folder / "tensors.safetensors"
    check(digest(safetensors.torch.load_file(path)) == json.loads(peer("digest", str(path))), "safetensors opens ours")
    check(safetensors.safe_open(path, "pt").metadata() == {"format": "pt", "note": "ключ"}, "safetensors' metadata")


def import_vision():
    """torchvision and timm. A CUDA build of torchvision registers operators that a CPU build of torch does not know."""
    register = torch.library.register_fake
    torch.library.register_fake = lambda name, *rest, **options: (
        (lambda function: function) if str(name).startswith("torchvision::") else register(name, *rest, **options))
    try:
        import timm
        import torchvision
        return torchvision, timm
    except (ImportError, RuntimeError) as error:
        print("skipped: no torchvision and timm:", error)
        return None, None


def pattern():
    """The two images that the peer's `features` takes."""
    return torch.tensor([(i * i) % 251 / 250 for i in range(2 * 3 * 32 * 32)]).reshape(2, 3, 32, 32)


def check_features(checkpoint, model, *options):
    """The same features as here, to 1e-6 of the largest."""
    with torch.no_grad():
        theirs = model.eval()(pattern()).reshape(-1)
    ours = torch.tensor(json.loads(peer("features", str(checkpoint), *options)))
    difference = ((theirs - ours).abs().max() / theirs.abs().max()).item()
    check(difference <= 1e-6, f"the same features as here: they differ by {difference:.1e} of the largest")


def check_export(folder, checkpoint, torchvision, timm):
    """The exported encoder loads strictly, with the lines that its metadata give, and computes the same."""
    peer("export", str(checkpoint), str(folder))
    features = []
    images = torch.rand(2, 3, 64, 64)
    for name in ("safetensors.safetensors", "timm.safetensors", "torchvision.pth"):
        path = folder / name
        known = {"torch": torch, "timm": timm, "torchvision": torchvision}
        metadata = safetensors.safe_open(folder / ("timm.safetensors" if "timm" in name else "safetensors.safetensors"),
                                         "pt").metadata()
        exec(metadata["load"].replace("; ", "\n"), known)
        is_pickle = name.endswith("pth")
        state = torch.load(path, weights_only=True) if is_pickle else safetensors.torch.load_file(path)
        result = known["model"].load_state_dict(state, strict=True)
        check(not result.missing_keys and not result.unexpected_keys, f"strict load of {name}")
        features.append(known["model"].eval()(images))
        check_features(checkpoint, known["model"])
    check(all(torch.equal(features[0], other) for other in features), "the same features from all three")


def reference_model(torchvision, classes):
    """Modules under the names that the reference's have."""
    nn = torch.nn

    def holder(**modules):
        return nn.ModuleDict({"model": nn.ModuleDict(modules)})

    encoder = torchvision.models.resnet18()
    encoder.conv1, encoder.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return nn.ModuleDict({
        "encoder": encoder,
        "projection": holder(hidden=nn.Linear(512, 512), bn_hidden=nn.BatchNorm1d(512),
                             output=nn.Linear(512, 64, bias=False), bn_output=nn.BatchNorm1d(64)),
        "binned_prediction_model": holder(linear_0=nn.Linear(1024, 512), bn_0=nn.BatchNorm1d(512),
                                          linear_final=nn.Linear(512, 36)),
        "supervised_head": nn.ModuleDict({"linear_layer": nn.Linear(512, classes)}),
    })


def check_run(folder, torchvision):
    """A checkpoint of a run of this program loads strictly into the reference's modules and PyTorch's optimisers."""
    golden = json.loads((ROOT / "test/fixtures/golden/names.json").read_text())
    known, learning = golden["state_dict"]["stec.resnet18"], sum(golden["optimizer_groups"].values(), [])
    for name, make in {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "lars": None}.items():
        flags = ["--dataset", "shapes", "--optimizer", name, "--arch", "resnet18", "--width", "64", "--feat_dim", "64",
                 "--first_conv", "0", "--maxpool1", "0", "--batch_size", "8", "--max_steps", "3", "--learning_rate", ".01",
                 "--gpus", "0", "--results_path", str(folder / name)]
        command = ["deno", "run", "-A", str(ROOT / "cli.ts"), "train", *flags]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        path = folder / name / "last.ckpt"
        loaded = torch.load(path, weights_only=True)
        check([loaded["global_step"], loaded["hyper_parameters"]["optimizer"]] == [3, name], f"{name}: a run's checkpoint")
        check(list(loaded["state_dict"]) == list(known), f"{name}: the reference's names, in its order")
        state = loaded["state_dict"]
        model = reference_model(torchvision, len(state["supervised_head.linear_layer.bias"]))
        if list(state["encoder.fc.weight"].shape) != list(model["encoder"].fc.weight.shape):
            model["encoder"].fc = torch.nn.Linear(*reversed(state["encoder.fc.weight"].shape))
        model.load_state_dict(state, strict=True)
        check(True, f"{name}: strict load of the whole model")
        model["encoder"].fc = torch.nn.Identity()
        check_features(path, model["encoder"])
        if make is None:
            continue
        model = reference_model(torchvision, len(state["supervised_head.linear_layer.bias"]))
        model["encoder"].fc = torch.nn.Linear(*reversed(state["encoder.fc.weight"].shape))
        parameters = [parameter for each, parameter in model.named_parameters() if each in learning]
        optimizer = make(parameters, lr=1.0)
        optimizer.load_state_dict(loaded["optimizer_states"][0])
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        schedule.load_state_dict(loaded["lr_schedulers"][0])
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        schedule.step()
        check(schedule.last_epoch == 4, f"{name}: torch.optim goes on from its state and schedule")


# Encoders of others: those that this program has, and those that differ in one way each.
ENCODERS = {
    "torchvision": ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"],
    "timm": ["resnet18", "resnet26", "resnet18d", "resnet50_gn", "seresnet18", "skresnet18"],
}


def write_names(torchvision, timm):
    """Writes names and shapes of the encoders' state dicts."""
    make = {"torchvision": lambda name: getattr(torchvision.models, name)(), "timm": timm.create_model}
    lines = []
    for library, names in ENCODERS.items():
        for name in names:
            shapes = {key: list(tensor.shape) for key, tensor in make[library](name).state_dict().items()}
            lines.append(f"{json.dumps(f'{library}.{name}')}: {json.dumps(shapes, separators=(',', ':'))}")
    (FIXTURES / "encoders.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def check_others(folder, torchvision, timm):
    """Weights of torchvision and timm, in the forms in which they come, give the same features here."""
    for library, model in (("torchvision", torchvision.models.resnet50()), ("timm", timm.create_model("resnet18"))):
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        state = model.state_dict()
        wrapped = {f"module.encoder_q.{name}": tensor for name, tensor in state.items()}
        average = {f"module.encoder_k.{name}": tensor * 0.9 for name, tensor in state.items()}
        without_counters = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
        forms = {"bare": state, "model": {"model": state, "epoch": 3}, "moco": {"state_dict": {**average, **wrapped}},
                 "old": without_counters}
        model.fc = torch.nn.Identity()
        for name, value in forms.items():
            path = folder / f"{library}_{name}.pth"
            torch.save(value, path)
            check_features(path, model, "maxpool")
            path.unlink()
        path = folder / f"{library}.safetensors"
        safetensors.torch.save_file(state, path)
        check_features(path, model, "maxpool")


def torch_times(path):
    """Milliseconds that ten loads of a file take: to new tensors, and into a model whose layout is the file's."""
    model = torch.load(path, weights_only=True)

    def into_model():
        for name, tensor in torch.load(path, weights_only=True).items():
            model[name].copy_(tensor)

    def measure(body):
        times = []
        for _ in range(10):
            start = time.perf_counter()
            body()
            times.append(1000 * (time.perf_counter() - start))
        return times

    return {"to new tensors": measure(lambda: torch.load(path, weights_only=True)), "into a model": measure(into_model)}


def compare_speed(folder):
    """Medians of loads of 100 MB that are in the page cache, by new processes of either side in turn: how long a load takes
    depends on whether its memory is new to the process."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # for both sides: threads that spin disturb on shared cores
    shapes = {"10 tensors": (10, 2500, 1000), "400 tensors": (400, 250, 250), "channels_last": (11, 512, 512, 3, 3)}
    for name, (count, *shape) in shapes.items():
        path = folder / "speed.pt"
        made = [torch.rand(shape) for _ in range(count)]
        if name == "channels_last":
            made = [tensor.to(memory_format=torch.channels_last) for tensor in made]
        torch.save({f"w{i}": tensor for i, tensor in enumerate(made)}, path)
        theirs, ours = collections.defaultdict(list), collections.defaultdict(list)
        for _ in range(4):
            own = subprocess.run([sys.executable, __file__, "--time", str(path)], check=True, stdout=subprocess.PIPE)
            for side, output in ((theirs, own.stdout), (ours, peer("time", str(path)))):
                for what, times in json.loads(output).items():
                    side[what] += times
        print(f"{name}, {path.stat().st_size / 1e6:.0f} MB")
        for what in ours:
            texts = [f"{statistics.median(t):.0f} ms ({min(t):.0f} to {max(t):.0f})" for t in (theirs[what], ours[what])]
            ratio = statistics.median(ours[what]) / statistics.median(theirs[what])
            print(f"  {what}: torch.load {texts[0]}, here {texts[1]}: {ratio:.2f} times as long")


def write_fixtures():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    expected = {}
    made = {"tensors.pt": tensors(), "plain.pt": plain(), "odd.pt": odd(), "trained.ckpt": trained()}
    for name, value in made.items():
        torch.save(value, FIXTURES / name)
        expected[name] = digest(value)
    for name in ("tensors.pt", "odd.pt"):
        torch.save(made[name], FIXTURES / f"legacy_{name}", _use_new_zipfile_serialization=False)
        expected[f"legacy_{name}"] = digest(made[name])
    torch.save(tensors(), FIXTURES / "protocol_5.pt", pickle_protocol=5)
    expected["protocol_5.pt"] = digest(tensors())
    # The same archive as other tools pack it again.
    with zipfile.ZipFile(FIXTURES / "tensors.pt") as source:
        with zipfile.ZipFile(FIXTURES / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as target:
            for name in source.namelist():
                target.writestr(zipfile.ZipInfo(name), source.read(name), zipfile.ZIP_DEFLATED)
    expected["deflated.pt"] = expected["tensors.pt"]
    whole = {k: v.detach().clone().contiguous() for k, v in tensors().items()}
    safetensors.torch.save_file(whole, FIXTURES / "library.safetensors", {"note": "written by the library"})
    expected["library.safetensors"] = digest(whole)
    with tempfile.TemporaryDirectory() as folder:
        check_writing(pathlib.Path(folder))
        for path in sorted(pathlib.Path(folder).iterdir()):
            shutil.copy(path, FIXTURES / f"written_{path.name}")
    (FIXTURES / "expected.json").write_text(json.dumps(expected, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixtures", action="store_true")
    parser.add_argument("--names", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--time", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.fixtures:
        write_fixtures()
        return
    if arguments.names:
        write_names(*import_vision())
        return
    if arguments.time:
        print(json.dumps(torch_times(arguments.time)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if arguments.speed:
            compare_speed(folder)
            return
        check_reading(folder)
        check_random_layouts(folder)
        check_writing(folder)
        torchvision, timm = import_vision()
        if torchvision is None:
            return
        check_others(folder, torchvision, timm)
        check_run(folder, torchvision)
        if arguments.checkpoint:
            check_export(folder, arguments.checkpoint, torchvision, timm)


if __name__ == "__main__":
    main()
