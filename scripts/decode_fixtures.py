"""Makes test/fixtures/decode: small image files and, in pillow.safetensors, what Pillow and torchvision's transforms make
of them. Needs numpy, Pillow, safetensors.

    python scripts/decode_fixtures.py
"""

import io
import pathlib

import numpy
from PIL import Image
from safetensors.numpy import save_file

HEIGHT, WIDTH, SIZE = 62, 83, 28
# Top, left, height, width.
CROPS = [(3, 5, 50, 70), (0, 40, 14, 18), (41, 2, 20, 22), (0, 0, 62, 83)]

random = numpy.random.default_rng(0)
y, x = numpy.mgrid[:HEIGHT, :WIDTH]
waves = [128 + 110 * numpy.sin(x / a + y / b) for a, b in ((9, 14), (-5, 21), (31, -7))]
pixels = (numpy.stack(waves, -1) + random.normal(0, 12, (HEIGHT, WIDTH, 3))).clip(0, 255).astype(numpy.uint8)
image = Image.fromarray(pixels)
turned = Image.Exif()
turned[274] = 6  # Orientation: rotated by a quarter. The loaders of torchvision do not look at it.


def encode(picture, format="JPEG", **options):
    file = io.BytesIO()
    picture.save(file, format, **({"quality": 88} if format == "JPEG" else {}), **options)
    return file.getvalue()


def in_ycck(file):
    """The JPEG with another number in its Adobe segment: its four channels are then read as YCCK."""
    at = file.index(b"Adobe") + len(b"Adobe") + 6
    return file[:at] + b"\2" + file[at + 1 :]


def without_adobe(file):
    start = file.index(b"Adobe") - 4
    return file[:start] + file[start + 2 + int.from_bytes(file[start + 2 : start + 4], "big") :]


alpha = image.copy()
alpha.putalpha(Image.fromarray((x * 2).astype(numpy.uint8)))
cmyk = encode(image.convert("CMYK"))
gray16 = (pixels.astype(numpy.uint16) * 256 + pixels[::-1])[..., 0]
files = {
    "420.jpg": encode(image, subsampling="4:2:0"),
    "422.jpg": encode(image, subsampling="4:2:2"),
    "444.jpg": encode(image, subsampling="4:4:4"),
    "progressive.jpg": encode(image, progressive=True),
    "restarts.jpg": encode(image, restart_marker_blocks=3),
    "gray.jpg": encode(image.convert("L")),
    "turned.jpg": encode(image, exif=turned),
    "cmyk.jpg": cmyk,
    "cmyk_without_adobe.jpg": without_adobe(cmyk),
    "ycck.jpg": in_ycck(cmyk),
    "cmyk.tif": encode(image.convert("CMYK"), "TIFF", compression="tiff_lzw"),
    "pixel.jpg": encode(image.crop((7, 8, 8, 9))),
    "rgba.png": encode(alpha, "PNG"),
    "palette.png": encode(image.quantize(32), "PNG"),
    "gray.png": encode(image.convert("L"), "PNG"),
    "lossless.webp": encode(image, "WEBP", lossless=True),
    "palette.gif": encode(image.quantize(32), "GIF"),
    "rgb.tif": encode(image, "TIFF", compression="tiff_lzw"),
    "gray16.png": encode(Image.fromarray(gray16), "PNG"),
    "gray16.tif": encode(Image.fromarray(gray16), "TIFF", compression="tiff_lzw"),
    "float.tif": encode(image.convert("F"), "TIFF"),
}
whole = files["420.jpg"]
broken = {
    "cut.jpg": whole[: len(whole) * 2 // 3],
    "headless.jpg": whole[:100],
    "text.jpg": b"This is no image.\n",
    "empty.jpg": b"",
}

folder = pathlib.Path(__file__).parent.parent / "test/fixtures/decode"
folder.mkdir(parents=True, exist_ok=True)
for name, content in {**files, **broken}.items():
    (folder / name).write_bytes(content)

decoded = {name: Image.open(io.BytesIO(content)).convert("RGB") for name, content in files.items()}
# Of these the upper 8 bits; Pillow cuts at 255.
for name in ("gray16.png", "gray16.tif"):
    decoded[name] = Image.fromarray((gray16 // 256).astype(numpy.uint8)).convert("RGB")
# RandomResizedCrop's resizing of one file, then Resize(32) and CenterCrop(28) of it.
crops = [
    decoded["420.jpg"].crop((x, y, x + w, y + h)).resize((SIZE, SIZE), Image.Resampling.BILINEAR) for y, x, h, w in CROPS
]
short, long = 32, int(32 * WIDTH / HEIGHT)
top, left = round((short - SIZE) / 2.0), round((long - SIZE) / 2.0)
middle = decoded["420.jpg"].resize((long, short), Image.Resampling.BILINEAR)
middle = middle.crop((left, top, left + SIZE, top + SIZE))
planes = {name: numpy.asarray(picture).transpose(2, 0, 1) for name, picture in {**decoded, "middle": middle}.items()}
planes["crops"] = numpy.stack([numpy.asarray(crop).transpose(2, 0, 1) for crop in crops])
save_file({name: numpy.ascontiguousarray(plane) for name, plane in planes.items()}, folder / "pillow.safetensors")
