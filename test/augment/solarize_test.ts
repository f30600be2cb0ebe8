import { solarize } from "../../src/augment/solarize.ts";
import { scope } from "../../src/torch/scope.ts";
import { tensor } from "../device.ts";
import { assertClose, assertNoLeak, goldenFile } from "../golden.ts";

Deno.test("golden: solarisation is the reference's, exactly", () => {
  scope(() => {
    const golden = goldenFile("blur_solarize");
    assertClose(solarize(golden.get("images")!), golden.get("solarized")!, { what: "solarized" });
  });
});

Deno.test("solarize: a half is already bright", () => {
  scope(() => {
    const images = tensor([0, 0.25, 0.4999, 0.5, 0.75, 1]);
    assertClose(solarize(images), tensor([0, 0.25, 0.4999, 0.5, 0.25, 0]));
    assertNoLeak(() => void solarize(images));
  });
});
