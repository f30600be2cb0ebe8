/**
 * The flags as a table for the README.
 *
 * @module
 */

import { COMMAND_NAMES, type CommandName, flagSections } from "./flags.ts";

/** The flags of a command that have an effect, in Markdown as `deno fmt` leaves it: a table for each section. */
export function flagTable(command: CommandName): string {
  return flagSections(command).filter(({ effective }) => effective).map(({ title, flags }) => {
    const rows = flags.map(({ name, fallback, description }) => [
      `\`--${name}\``,
      fallback,
      description,
    ]);
    return `**${title}**\n\n${table([["flag", "default", "meaning"], ...rows])}`;
  }).join("\n");
}

function table([head, ...body]: string[][]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((row) => row[column].length)));
  const line = (cells: string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |\n`;
  return [head, widths.map((width) => "-".repeat(width)), ...body].map(line).join("");
}

/** The content of docs/flags.md. */
export function flagsDocument(): string {
  const note = "Written by `deno run -A scripts/write_flags.ts`; a test checks that it is up to date.";
  const tables = COMMAND_NAMES.filter((name) => flagSections(name).length > 0)
    .map((name) => `## deno task ${name}\n\n${flagTable(name).trim()}\n`);
  return `# Flags\n\n${note}\n\n${tables.join("\n")}`;
}
