import { flipLeftRight } from "../../src/augment/flip.ts";
import { scope } from "../../src/torch/scope.ts";
import { ones, tensor } from "../device.ts";
import { assertClose, assertNoLeak, goldenFile } from "../golden.ts";
import { batchOf, flipped, imagesOf, madeUpBytes } from "./pixels.ts";

Deno.test("golden: flips are Pillow's, exactly", () => {
  scope(() => {
    const golden = goldenFile("image_ops"), images = golden.get("images")!.float().div(255);
    assertClose(flipLeftRight(images, ones([16], { dtype: "bool" })), golden.get("hflip")!, { what: "flip" });
  });
});

Deno.test("flip: only the chosen images are flipped", () => {
  scope(() => {
    const images = madeUpBytes("flip", [3, 3, 4, 7]), mask = tensor([0, 1, 0], { dtype: "bool" });
    const expected = imagesOf(images).map((image, i) => i === 1 ? flipped(image) : image);
    assertClose(flipLeftRight(images, mask).double().div(255), batchOf(expected));
    assertNoLeak(() => void flipLeftRight(images, mask));
  });
});
