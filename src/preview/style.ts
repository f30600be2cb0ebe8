/**
 * How the preview looks: light and dark, wide and narrow.
 *
 * @module
 */

/** The page's style sheet. View a is blue and drawn through, view b orange and dashed, wherever they are. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --line: #dfe3ea; --ink: #1b2230; --soft: #5d6779;
  --a: #1f6feb; --b: #d9580d; --bar: #b9c2d0; --true: #1b2230; --right: #1a7f45; --wrong: #c42b3d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #11151c; --card: #1a202b; --line: #2e3746; --ink: #e8ecf3; --soft: #9aa5b8;
    --a: #6aa6ff; --b: #ff9a52; --bar: #4a566a; --true: #e8ecf3; --right: #4fc47f; --wrong: #ff7080;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: 0 0 10px; max-width: 96ch; }
code { overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.a { color: var(--a); } .b { color: var(--b); }
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px; margin-top: 18px;
}
.legend { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 12px 0 0; padding: 0; list-style: none; }
.legend li { display: flex; align-items: center; gap: 8px; color: var(--soft); font-size: 0.9rem; }
.box { width: 20px; height: 14px; border: 2px solid var(--a); border-radius: 2px; }
.box.b { border: 2px dashed var(--b); }
.score { font-size: 1.05rem; font-weight: 600; margin: 14px 0 0; }
.pair { display: grid; grid-template-columns: 240px 290px minmax(0, 1fr); gap: 12px 32px; align-items: start; }
.pair h2 { grid-column: 1 / -1; }
figure { margin: 0; }
figcaption { font-size: 0.85rem; color: var(--soft); margin-top: 6px; }
figcaption b { color: inherit; }
.whole { display: block; width: 100%; height: auto; max-height: 300px; overflow: visible; }
.pixels { image-rendering: pixelated; }
.whole rect { fill: none; stroke-width: 2.5; vector-effect: non-scaling-stroke; }
.whole .halo { stroke: #000; stroke-opacity: 0.45; stroke-width: 4.5; }
.whole .edge-a { stroke: #4d94ff; } .whole .edge-b { stroke: #ff8c3a; stroke-dasharray: 7 4; }
.views { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
.views img { display: block; width: 100%; aspect-ratio: 1; border: 3px solid var(--a); border-radius: 4px; }
.views .of-b img { border: 3px dashed var(--b); }
.views ol { margin: 2px 0 0; padding: 0; list-style: none; font-variant-numeric: tabular-nums; }
.label { font-size: 0.85rem; color: var(--soft); margin: 0 0 8px; }
.matrix {
  display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 14px 18px; position: relative; padding: 4px 16px;
}
.matrix::before, .matrix::after {
  content: ""; position: absolute; top: 0; bottom: 0; width: 7px; border: 2px solid var(--soft);
}
.matrix::before { left: 0; border-right: 0; } .matrix::after { right: 0; border-left: 0; }
.entry { min-width: 0; }
.entry.fixed { opacity: 0.55; }
.value { display: flex; justify-content: space-between; gap: 4px; font-variant-numeric: tabular-nums; font-weight: 600; }
.what { font-size: 0.75rem; color: var(--soft); display: block; }
.right { color: var(--right); } .wrong { color: var(--wrong); }
.bins { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 2px; margin-top: 4px; }
.bar { height: 34px; display: flex; align-items: end; }
.bar i { display: block; width: 100%; min-height: 1px; background: var(--bar); border-radius: 1px 1px 0 0; }
.bar i.right { background: var(--right); } .bar i.wrong { background: var(--wrong); }
.bin { display: block; height: 8px; border-radius: 2px; border: 1px solid var(--bar); }
.bin.true { background: var(--true); border-color: var(--true); }
footer { margin-top: 22px; font-size: 0.85rem; }
@media (max-width: 960px) {
  .pair { grid-template-columns: minmax(0, 250px) minmax(0, 1fr); }
  .pair > .between { grid-column: 1 / -1; max-width: 520px; }
}
@media (max-width: 560px) {
  main { padding: 18px 12px 32px; }
  .card { padding: 14px; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  .matrix { gap: 12px 10px; padding: 4px 12px; }
}
@media print { .card { break-inside: avoid; } }
`;
