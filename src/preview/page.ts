/**
 * The preview as one HTML page that needs nothing else: no server, no script, no other file.
 *
 * @module
 */

import { type EntryFacts, type PairFacts, predictedBin, type PreviewFacts, type ViewFacts } from "./facts.ts";
import { STYLE } from "./style.ts";

/** What the entries of the matrix are, row by row. */
const ENTRIES = ["zoom x", "always 0", "shift x", "always 0", "zoom y", "shift y"] as const;
/** The entries of which no image says anything, since crops and flips leave them at 0. */
const FIXED: readonly number[] = [1, 3];

/** Nothing is loaded and nothing runs, whatever a file or class may be called. */
const POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/** The page's HTML. */
export function renderPage(facts: PreviewFacts): string {
  const { dataset, pairs, seed } = facts, title = `S-TEC preview: ${dataset}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escape(title)}</h1>
<p class="soft">${pairs.length} training ${
    pairs.length === 1 ? "image" : "images"
  }, drawn with seed ${seed} as for the first step of a run</p>
<section class="card">
${explanation(facts)}
${legend(facts)}
${score(facts)}
</section>
${pairs.map((pair) => pairCard(pair, facts)).join("\n")}
<footer class="soft">Written by <code>deno task preview</code>. Views are scaled up here; they have ${facts.size} × ${facts.size} pixels.</footer>
</main>
</body>
</html>
`;
}

function explanation({ size, bins, checkpoint }: PreviewFacts): string {
  const guess = checkpoint === null
    ? `With <code>--ckpt_path</code> the page also shows what a trained network predicts.`
    : `The bars are the probabilities that the checkpoint <code>${escape(checkpoint.path)}</code>${
      checkpoint.steps > 0 ? `, trained for ${checkpoint.steps.toLocaleString("en")} steps,` : ""
    } gives to the bins, from both views alone.`;
  return `<p>A run draws two views of each image: a crop is cut out, scaled to ${size} × ${size} pixels, perhaps mirrored,
and its colours are changed. The matrix M<sub>ab</sub> is the <em>efference copy</em>: how view a must be manipulated
to become view b. The network sees only the views, and learns to predict into which of ${bins} bins each entry falls.</p>
<p><b>Zoom</b> is the size of crop b over that of crop a, negative if only one of them is mirrored; its bins reach from
−2 to 2. <b>Shift</b> is the middle of b less that of a scaled by the size of b, in halves of the image; its bins
reach from −0.5 to 0.5. What lies beyond falls into the outermost bin. ${guess}</p>`;
}

function legend({ checkpoint }: PreviewFacts): string {
  const items = [
    `<span class="box"></span>view a`,
    `<span class="box b"></span>view b`,
    `<span class="bin true" style="width:20px"></span>the bin of the true value`,
  ];
  if (checkpoint !== null) {
    items.push(
      `<span class="right">✓</span>the most probable bin is the true one`,
      `<span class="wrong">✗</span>it is another`,
    );
  }
  return `<ul class="legend">${items.map((item) => `<li>${item}</li>`).join("")}</ul>`;
}

/** How many entries are predicted right. */
function score({ pairs, checkpoint }: PreviewFacts): string {
  if (checkpoint === null) return "";
  const open = pairs.flatMap(({ entries }) => entries.filter((_, i) => !FIXED.includes(i)));
  const right = open.filter((entry) => predictedBin(entry) === entry.bin).length;
  const share = (100 * right / open.length).toFixed(0);
  return `<p class="score">Right: ${right} of ${open.length} entries that vary (${share}%)</p>`;
}

function pairCard(pair: PairFacts, { checkpoint, bins }: PreviewFacts): string {
  const [a, b] = pair.views;
  const excluded = a.isExcluded || b.isExcluded
    ? `<p class="label">The manipulation loss leaves this pair out.</p>`
    : "";
  return `<article class="card pair">
<h2>${escape(pair.name)}</h2>
<figure>
${wholeImage(pair)}
<figcaption>${pair.width} × ${pair.height} pixels, with both crops</figcaption>
</figure>
<div class="views">
${viewFigure(a, "a")}
${viewFigure(b, "b")}
</div>
<section class="between">
<p class="label">M<sub>ab</sub>, from <b class="a">a</b> to <b class="b">b</b>${
    checkpoint === null ? "" : ", and what the head predicts"
  }</p>
<div class="matrix">
${pair.entries.map((entry, i) => entryCell(entry, i, bins)).join("\n")}
</div>
${excluded}
</section>
</article>`;
}

function wholeImage({ picture, width, height, views }: PairFacts): string {
  const boxes = views.map(({ crop }, i) => {
    const place = `x="${crop.left}" y="${crop.top}" width="${crop.width}" height="${crop.height}"`;
    return `<rect class="halo" ${place}/><rect class="edge-${i === 0 ? "a" : "b"}" ${place}/>`;
  });
  return `<svg class="whole" role="img" aria-label="The image with both crops" viewBox="0 0 ${width} ${height}" preserveAspectRatio="xMinYMin"><image class="${
    sharpness(height)
  }" width="${width}" height="${height}" href="${picture}"/>${boxes.join("")}</svg>`;
}

function viewFigure({ picture, crop, flipped, changes }: ViewFacts, name: "a" | "b"): string {
  const steps = [
    flipped ? "mirrored" : "not mirrored",
    ...(changes.length > 0 ? changes : ["colors unchanged"]),
  ];
  return `<figure class="of-${name}">
<img class="pixels" alt="View ${name}" src="${picture}">
<figcaption><b class="${name}">view ${name}</b>
<ol><li>${crop.width} × ${crop.height} pixels</li><li>from (${crop.left}, ${crop.top}) on</li>${
    steps.map((step) => `<li>${escape(step)}</li>`).join("")
  }</ol></figcaption>
</figure>`;
}

function entryCell(entry: EntryFacts, i: number, bins: number): string {
  const predicted = predictedBin(entry), isRight = predicted === entry.bin;
  const verdict = isRight ? "right" : "wrong";
  const mark = predicted === null ? "" : `<span class="${verdict}">${isRight ? "✓" : "✗"}</span>`;
  const told = predicted === null ? "" : `, predicted ${predicted + 1}: ${verdict}`;
  const columns = Array.from({ length: bins }, (_, bin) => {
    const share = entry.probabilities?.[bin];
    const bar = share === undefined
      ? ""
      : `<span class="bar"><i${bin === predicted ? ` class="${verdict}"` : ""} style="height:${
        (100 * share).toFixed(1)
      }%"></i></span>`;
    return `<span>${bar}<span class="bin${bin === entry.bin ? " true" : ""}"></span></span>`;
  });
  return `<div class="entry${FIXED.includes(i) ? " fixed" : ""}">
<span class="value">${formatEntry(entry.value)}${mark}</span><span class="what">${ENTRIES[i]}</span>
<div class="bins" role="img" aria-label="Bin ${entry.bin + 1} of ${bins}${told}">${columns.join("")}</div>
</div>`;
}

/** Two decimals, with a minus sign but for what rounds to zero. */
function formatEntry(value: number): string {
  const text = Math.abs(value).toFixed(2);
  return value < 0 && text !== "0.00" ? `−${text}` : text;
}

/** Few pixels are shown as they are, many are smoothed. */
function sharpness(height: number): string {
  return height <= 128 ? "pixels" : "smooth";
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text as HTML, in elements and attributes. */
function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character]);
}
