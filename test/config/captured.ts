/** What is written to standard output in the meantime. */
export function captured(work: () => void): string {
  const { writeSync } = Deno.stdout, parts: string[] = [];
  Deno.stdout.writeSync = (bytes) => {
    parts.push(new TextDecoder().decode(bytes));
    return bytes.length;
  };
  try {
    work();
  } finally {
    Deno.stdout.writeSync = writeSync;
  }
  return parts.join("");
}
