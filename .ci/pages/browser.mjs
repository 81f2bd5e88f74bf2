// A browser that finds fault with whatever pages must not do: speak to another host,
// offend against their Content-Security-Policy, complain in the console, open a
// dialog, or have an address or a token in a URL.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

import { watch } from "./checks.mjs";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// launch starts Debian's Chromium, or what SIGNOFF_CHROMIUM names.
export function launch() {
  return chromium.launch({
    executablePath: process.env.SIGNOFF_CHROMIUM ?? "/usr/bin/chromium",
    chromiumSandbox: process.getuid() !== 0, // it refuses to be root's
    args: ["--disable-dev-shm-usage", "--disable-gpu"],
  });
}

// visit opens a browser's window at a site: {base, secrets, hosts}. options are those
// of a context of Playwright, besides: expects, statuses and complaints that are no
// fault here.
export async function visit(browser, site, { expects = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(15_000);
  const faults = [];
  const leave = watch(faults, () => context.close());
  const fault = (text) => {
    if (!expects.some((expected) => text.includes(expected))) {
      faults.push(text);
    }
  };
  if (options.javaScriptEnabled !== false) {
    await context.exposeBinding("signoffSuiteViolation", (_, text) => fault(`CSP: ${text}`));
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (e) => window.signoffSuiteViolation(`${e.violatedDirective} ${e.blockedURI} at ${e.sourceFile}:${e.lineNumber}`));
    });
  }
  const requests = [];
  context.on("request", (request) => {
    requests.push(request);
    const url = new URL(request.url());
    if (![new URL(site.base).host, ...site.hosts ?? []].includes(url.host)) {
      fault(`request to another host: ${url.host}`);
    }
    if (/@|%40/i.test(url.pathname + url.search)) {
      fault(`an address in a URL: ${url.pathname}${url.search}`);
    }
    for (const secret of site.secrets ?? []) {
      if (url.href.split("#")[0].includes(secret)) {
        fault(`a token in a URL: ${url.pathname}`);
      }
    }
  });
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      fault(`console: ${message.text()} (${new URL(message.page()?.url() ?? "about:blank").pathname})`);
    }
  });
  context.on("weberror", (error) => fault(`script: ${error.error().message}`));
  context.on("dialog", (dialog) => {
    fault(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  const page = await context.newPage();
  return {
    context, page, requests, faults,
    path: () => new URL(page.url()).pathname + new URL(page.url()).search,
    // go opens a page of the site and returns the answer.
    go: (path) => page.goto(site.base + path, { waitUntil: "load" }),
    text: (selector = "main") => page.locator(selector).innerText(),
    leave,
  };
}

// judge returns what axe-core has against the page as it is, the serious first.
export async function judge(page) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, where: nodes.slice(0, 3).map((n) => n.target.join(" ")), many: nodes.length }));
}

// accessible asserts that axe-core finds nothing serious or critical, and returns what else it says.
export async function accessible(page, what) {
  const found = await judge(page);
  const grave = found.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(grave.map((v) => `${v.impact} ${v.id} (${v.help}): ${v.many}× ${v.where.join(", ")}`), [], what);
  return found.map((v) => `${what}: ${v.impact} ${v.id}: ${v.where.join(", ")}`);
}

// tabTo presses Tab until the focus is on what matches, and asserts that one can see
// where it is.
export async function tabTo(page, selector, most = 120) {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate((selector) => {
      const e = document.activeElement;
      const style = getComputedStyle(e);
      return {
        there: e.matches(selector),
        seen: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none",
        what: e.outerHTML.slice(0, 120),
      };
    }, selector);
    if (at.there) {
      assert.ok(at.seen, `the focus can't be seen on ${at.what}`);
      return;
    }
  }
  throw new Error(`${selector}: not reached by ${most} times Tab`);
}
