// How pages look: each in the light and in the dark, wide and on a phone. axe-core sees
// each color and each width once: there is nothing that it could find in another pair.
import assert from "node:assert/strict";
import { join } from "node:path";

import { accessible, visit } from "./browser.mjs";
import { check } from "./checks.mjs";

const variants = [
  { name: "light-wide", colorScheme: "light", viewport: { width: 1280, height: 900 }, axe: true },
  { name: "dark-wide", colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  { name: "light-phone", colorScheme: "light", viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
  { name: "dark-phone", colorScheme: "dark", viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, axe: true },
];

// looks checks pages, {name: path}, in each variant, signed in by storage, and keeps
// pictures of them.
export async function looks(browser, site, storage, pages, folder, prefix = "") {
  const minor = new Set();
  for (const { name: variant, axe, ...options } of variants) {
    const seen = await visit(browser, site, { ...options, storageState: storage, expects: ["status of 404"] });
    for (const [name, path] of Object.entries(pages)) {
      await check(`looks ${prefix}${name} ${variant}`, async () => {
        const answer = await seen.go(path);
        assert.equal(answer.status(), path === "/no/such/page" ? 404 : 200, path);
        await seen.page.screenshot({ path: join(folder, `${prefix}${name}-${variant}.png`), fullPage: true, animations: "disabled" });
        for (const line of axe ? await accessible(seen.page, name) : []) {
          minor.add(line);
        }
        await fits(seen.page, options.isMobile);
      });
    }
    await seen.leave();
  }
  const seen = await visit(browser, site, { storageState: storage, expects: ["status of 404"] });
  for (const [name, path] of Object.entries(pages)) {
    await check(`looks ${prefix}${name} in windows of any width`, async () => {
      await seen.go(path);
      for (const width of [1600, 1120, 740, 360]) {
        await seen.page.setViewportSize({ width, height: 900 });
        await fits(seen.page, width < 740);
      }
    });
  }
  await seen.leave();
  for (const line of minor) {
    console.log(`   axe-core, less serious: ${line}`);
  }
}

// fits asserts that nothing of a page is beyond the window's right edge; but on a phone,
// what can be pushed aside may be.
async function fits(page, narrow) {
  const { scroll, width, cut } = await page.evaluate(() => {
    const cut = [...document.querySelectorAll("main *")].filter((e) => ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX)
      && e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1 && !e.matches("pre, input, select, textarea"));
    return { scroll: document.documentElement.scrollWidth, width: document.documentElement.clientWidth,
      cut: cut.map((e) => `${e.tagName} ${e.className}: ${e.textContent.trim().slice(0, 40)}`) };
  });
  assert.ok(scroll <= width + 1, `wider than the window: ${scroll} of ${width} pixels`);
  assert.ok(narrow || cut.length === 0, `cut off in a window of ${width} pixels: ${cut.join("; ")}`);
}
