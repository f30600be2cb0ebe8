import assert from "node:assert/strict";
import { flagTable } from "../../src/config/flag_table.ts";
import { COMMAND_NAMES, flagSections } from "../../src/config/flags.ts";
import { denoCommand } from "../../src/launch/launch.ts";

for (const command of COMMAND_NAMES.filter((command) => command !== "inspect")) {
  Deno.test(`flag table: ${command} has a row for each flag that has an effect`, () => {
    const rows = flagTable(command).split("\n").filter((line) => line.startsWith("| `--"));
    const flags = flagSections(command).filter(({ effective }) => effective).flatMap((section) =>
      section.flags
    );
    assert.equal(rows.length, flags.length);
    flags.forEach(({ name, fallback, description }, i) => {
      const cells = rows[i].split(" | ").map((cell) => cell.replace(/^\| | \|$/g, "").trim());
      assert.deepEqual(cells, [`\`--${name}\``, fallback, description]);
    });
  });

  Deno.test(`flag table: ${command} is as deno fmt leaves it`, async () => {
    const file = await Deno.makeTempFile({ suffix: ".md" });
    try {
      await Deno.writeTextFile(file, flagTable(command));
      const { code, stderr } = await new Deno.Command(denoCommand(), { args: ["fmt", "--check", file] })
        .output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
    } finally {
      await Deno.remove(file);
    }
  });
}
