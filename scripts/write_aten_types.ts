/**
 * Writes src/torch/aten_types.d.ts, the types of `aten`, from the schemas of the loaded libtorch.
 *
 *     deno run -A scripts/write_aten_types.ts
 */

import { atenTypes } from "../src/torch/aten_declarations.ts";

await Deno.writeTextFile(new URL("../src/torch/aten_types.d.ts", import.meta.url), atenTypes());
