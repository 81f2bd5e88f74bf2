// Links: each leads somewhere, and shows the same to whoever opens it.
import assert from "node:assert/strict";

import { visit } from "./browser.mjs";

const most = 12; // pages of one kind: one leaver's looks like another's
const deepest = 3; // clicks: after so many, there are but other mixtures of the same filters

// crawl follows the links from the Overview on, and asserts that each is answered.
export async function crawl(seen, site) {
  const queue = [["/", 0]], known = new Set(["/"]), kinds = new Map(), dead = [];
  while (queue.length > 0) {
    const [path, depth] = queue.shift();
    const answer = await seen.context.request.get(site.base + path, { maxRedirects: 2 });
    const type = answer.headers()["content-type"] ?? "";
    if (answer.status() !== 200) {
      dead.push(`${path}: ${answer.status()}`);
    }
    if (!type.startsWith("text/html") || path.startsWith("/api/") || depth >= deepest) {
      continue;
    }
    const text = await answer.text();
    if (/@[a-z0-9-]+\.|%40/i.test([...text.matchAll(/href="([^"]*)"/g)].map(([, href]) => href).join(" "))) {
      dead.push(`${path}: a link with an address in it`);
    }
    for (const [, quoted] of text.matchAll(/(?:href|src)="([^"]*)"/g)) {
      const url = new URL(quoted.replaceAll("&amp;", "&").replaceAll("&#43;", "+"), site.base + path);
      const next = url.pathname + url.search;
      const kind = url.pathname.replace(/\d+/g, "N") + "?" + [...new Set(url.searchParams.keys())].sort().join("&");
      const many = kinds.get(kind) ?? 0;
      if (url.origin !== site.base || known.has(next) || many >= most) {
        continue;
      }
      kinds.set(kind, many + 1);
      known.add(next);
      queue.push([next, depth + 1]);
    }
  }
  assert.deepEqual(dead, [], "dead links");
  return `${known.size} links of ${kinds.size} kinds`;
}

// sameElsewhere opens each page in a window of somebody who has just signed in, and
// compares what is there to be read.
export async function sameElsewhere(browser, site, link, seen, pages) {
  const elsewhere = await visit(browser, site, { expects: ["status of 404"] });
  await elsewhere.page.goto(link, { waitUntil: "load" });
  await elsewhere.page.waitForURL((url) => url.pathname === "/");
  const read = async (where) => (await where.text()).replace(/\d+/g, "N").replace(/\bnow\b/g, "N:N").replace(/\s+/g, " ");
  for (const [name, path] of Object.entries(pages)) {
    if (name === "nothing" || name.startsWith("sign-in")) {
      continue;
    }
    await seen.go(path);
    await elsewhere.go(path);
    assert.equal(await read(elsewhere), await read(seen), name);
    assert.equal(elsewhere.path(), seen.path(), name);
  }
  await elsewhere.leave();
}
