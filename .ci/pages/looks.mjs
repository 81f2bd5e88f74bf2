// How pages look, and what axe-core has against them: each in the light and in the
// dark, wide and on a phone.
import assert from "node:assert/strict";
import { join } from "node:path";

import { accessible, visit } from "./browser.mjs";
import { check } from "./checks.mjs";

const variants = [
  { name: "light-wide", colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { name: "dark-wide", colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  { name: "light-phone", colorScheme: "light", viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
  { name: "dark-phone", colorScheme: "dark", viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
];

// looks checks pages, {name: path}, in each variant, signed in by storage, and keeps
// pictures of them.
export async function looks(browser, site, storage, pages, folder, prefix = "") {
  const minor = new Set();
  for (const { name: variant, ...options } of variants) {
    const seen = await visit(browser, site, { ...options, storageState: storage, expects: ["status of 404"] });
    for (const [name, path] of Object.entries(pages)) {
      await check(`looks ${prefix}${name} ${variant}`, async () => {
        const answer = await seen.go(path);
        assert.equal(answer.status(), path === "/no/such/page" ? 404 : 200, path);
        await seen.page.screenshot({ path: join(folder, `${prefix}${name}-${variant}.png`), fullPage: true, animations: "disabled" });
        for (const line of await accessible(seen.page, name)) {
          minor.add(line);
        }
        const { scroll, wide } = await seen.page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, wide: document.documentElement.clientWidth }));
        assert.ok(scroll <= wide + 1, `wider than the window: ${scroll} of ${wide} pixels`);
        const cut = await seen.page.locator("main *").evaluateAll((all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1 && ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX) && e.clientWidth > 1 && e.tagName !== "PRE" && !["INPUT", "SELECT"].includes(e.tagName))
          .map((e) => `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 40)}`));
        assert.ok(options.isMobile || cut.length === 0, `cut off on the right: ${cut.join("; ")}`);
      });
    }
    await seen.leave();
  }
  for (const line of minor) {
    console.log(`   axe-core, less serious: ${line}`);
  }
}
