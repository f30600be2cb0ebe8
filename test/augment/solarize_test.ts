import { solarize } from "../../src/augment/solarize.ts";
import { scope } from "../../src/torch/scope.ts";
import { tensor } from "../device.ts";
import { assertClose, assertNoLeak, goldenFile, img } from "../golden.ts";

Deno.test("golden: solarisation is the reference's, exactly", () => {
  scope(() => {
    const golden = goldenFile("blur_solarize");
    assertClose(solarize(golden.get("images")!), golden.get("solarized")!, { what: "solarized" });
  });
});

for (const size of [32, 96, 224]) {
  Deno.test(`solarize: every pixel is its formula's, at ${size} x ${size}`, () => {
    scope(() => {
      const images = img(`solarize ${size}`, [2, 3, size, size]), values = images.toNumbers();
      const expected = values.map((value) => value >= 0.5 ? 1 - value : value);
      assertClose(solarize(images), tensor(expected, { dtype: "float64" }).reshape(...images.shape));
    });
  });
}

Deno.test("solarize: a half is already bright", () => {
  scope(() => {
    const images = tensor([0, 0.25, 0.4999, 0.5, 0.75, 1]);
    assertClose(solarize(images), tensor([0, 0.25, 0.4999, 0.5, 0.25, 0]));
    assertNoLeak(() => void solarize(images));
  });
});
