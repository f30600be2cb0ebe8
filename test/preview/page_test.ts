import assert from "node:assert/strict";
import type { EntryFacts, PairFacts, PreviewFacts, ViewFacts } from "../../src/preview/facts.ts";
import { renderPage } from "../../src/preview/page.ts";

const PICTURE = "data:image/png;base64,AAAA";

function view(more: Partial<ViewFacts> = {}): ViewFacts {
  const crop = { top: 1, left: 2, height: 3, width: 4 };
  return { picture: PICTURE, crop, flipped: false, changes: [], isExcluded: false, ...more };
}

function entry(value: number, bin: number, probabilities: number[] | null = null): EntryFacts {
  return { value, bin, probabilities };
}

function pair(more: Partial<PairFacts> = {}): PairFacts {
  return {
    name: "star, image 3",
    height: 32,
    width: 48,
    picture: PICTURE,
    views: [view(), view({ flipped: true, changes: ["hue +12°", "grayscale"] })],
    entries: [entry(-1.456, 0), entry(0, 2), entry(-0.001, 2), entry(-0, 2), entry(0.5, 3), entry(0.7, 5)],
    ...more,
  };
}

function facts(more: Partial<PreviewFacts> = {}): PreviewFacts {
  return { dataset: "shapes", seed: 42, size: 32, bins: 6, checkpoint: null, pairs: [pair()], ...more };
}

/** How often something is in a text. */
function count(text: string, part: string | RegExp): number {
  return text.split(part).length - 1;
}

Deno.test("page: it needs nothing else and runs nothing", () => {
  const page = renderPage(facts());
  assert.match(page, /^<!doctype html>\n<html lang="en">/);
  assert.match(
    page,
    /<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; /,
  );
  for (const [, reference] of page.matchAll(/(?:src|href)="([^"]*)"/g)) assert.equal(reference, PICTURE);
  assert.doesNotMatch(page, /<script|<link|@import|url\(|https?:|<iframe/i);
});

Deno.test("page: the image with both crops, both views, and what was done to them", () => {
  const page = renderPage(facts());
  assert.match(page, /<h2>star, image 3<\/h2>/);
  assert.match(page, /<svg class="whole"[^>]* viewBox="0 0 48 32"/);
  for (const name of ["a", "b"]) {
    assert.equal(count(page, `<rect class="edge-${name}" x="2" y="1" width="4" height="3"/>`), 1);
    assert.equal(count(page, `alt="View ${name}"`), 1);
  }
  const [a, b] = page.split('alt="View b"');
  assert.match(a, /<li>not mirrored<\/li><li>colors unchanged<\/li>/);
  assert.match(b, /<li>mirrored<\/li><li>hue \+12°<\/li><li>grayscale<\/li>/);
});

Deno.test("page: six entries with their bins; zero has no sign", () => {
  const page = renderPage(facts());
  const values = [...page.matchAll(/<span class="value">([^<]*)</g)].map(([, value]) => value);
  assert.deepEqual(values, ["−1.46", "0.00", "0.00", "0.00", "0.50", "0.70"]);
  const bins = [...page.matchAll(/aria-label="(Bin [^"]*)"/g)].map(([, label]) => label);
  assert.deepEqual(bins, [1, 3, 3, 3, 4, 6].map((bin) => `Bin ${bin} of 6`));
  const [, first] = page.split('aria-label="Bin 1 of 6"');
  assert.match(
    first,
    /^><span><span class="bin true"><\/span><\/span><span><span class="bin"><\/span><\/span>/,
  );
  assert.doesNotMatch(page, /class="bar"|class="score"|✓/);
});

Deno.test("page: predictions are marked right or wrong, and counted without the entries that are always zero", () => {
  const certain = (bin: number) => Array.from({ length: 6 }, (_, i) => i === bin ? 0.75 : 0.05);
  const entries = [0, 2, 2, 2, 3, 5].map((bin, i) => entry(0, bin, certain(i === 4 || i === 2 ? 1 : bin)));
  const checkpoint = { path: "R/last.ckpt", steps: 1234 };
  const page = renderPage(facts({ checkpoint, pairs: [pair({ entries }), pair({ entries })] }));
  assert.match(page, /Right: 4 of 8 entries that vary \(50%\)/);
  assert.equal(count(page, '<span class="right">✓</span>'), 2 * 4 + 1, "one is in the legend");
  assert.equal(count(page, '<span class="wrong">✗</span>'), 2 * 2 + 1);
  assert.equal(count(page, '<i class="right" style="height:75.0%">'), 2 * 4);
  assert.equal(count(page, '<i class="wrong" style="height:75.0%">'), 2 * 2);
  assert.equal(count(page, 'aria-label="Bin 3 of 6, predicted 2: wrong"'), 2);
  assert.match(page, /<code>R\/last\.ckpt<\/code>, trained for 1,234 steps/);
});

Deno.test("page: a pair that does not count in the loss says so", () => {
  const solarized = pair({ views: [view(), view({ isExcluded: true, changes: ["solarized"] })] });
  assert.match(renderPage(facts({ pairs: [solarized] })), /The manipulation loss leaves this pair out/);
  assert.doesNotMatch(renderPage(facts()), /does not count/);
});

Deno.test("page: names and paths cannot become HTML", () => {
  const evil = `"><script>alert('1')</script>&amp;`;
  const page = renderPage(facts({
    dataset: evil,
    checkpoint: { path: evil, steps: 0 },
    pairs: [pair({ name: evil, views: [view({ changes: [evil] }), view()] })],
  }));
  assert.doesNotMatch(page, /<script/);
  assert.equal(count(page, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;"), 5);
});
