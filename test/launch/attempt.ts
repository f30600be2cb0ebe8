/** Tries what a launched program may do, and says of each whether it could. */

const [results, elsewhere] = Deno.args;

const attempts: Record<string, () => unknown> = {
  "read anything": () => Deno.readTextFileSync(new URL("../../deno.json", import.meta.url)),
  "make the results folder": () => Deno.mkdirSync(`${results}/deep`, { recursive: true }),
  "write results": () => Deno.writeTextFileSync(`${results}/deep/a`, ""),
  "rename results": () => Deno.renameSync(`${results}/deep/a`, `${results}/b`),
  "see STEC_DEBUG": () => Deno.env.get("STEC_DEBUG"),
  "see HOME": () => Deno.env.get("HOME"),
  "listen to signals": () => Deno.addSignalListener("SIGINT", () => {}),
  "decode JPEG": async () => {
    const { default: sharp } = await import("sharp");
    const create = { width: 8, height: 8, channels: 3 as const, background: { r: 1, g: 2, b: 3 } };
    await sharp(await sharp({ create }).jpeg().toBuffer()).raw().toBuffer();
  },
  "write elsewhere": () => Deno.writeTextFileSync(`${elsewhere}/a`, ""),
  "see PATH": () => Deno.env.get("PATH"),
  "run programs": () => new Deno.Command("true").outputSync(),
  "reach the network": () => Deno.connect({ hostname: "127.0.0.1", port: 9 }),
  "load other libraries": () => Deno.dlopen("/lib/x86_64-linux-gnu/libc.so.6", {}),
};

for (const [what, attempt] of Object.entries(attempts)) {
  let outcome = "yes";
  try {
    await attempt();
  } catch (error) {
    outcome = error instanceof Deno.errors.NotCapable ? "no" : String(error);
  }
  Deno.stdout.writeSync(new TextEncoder().encode(`${what}: ${outcome}\n`));
}
Deno.exit();
