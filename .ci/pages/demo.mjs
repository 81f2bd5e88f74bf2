// A person's first hour with the demo: numbers move, a limit is passed, holds are
// decided, rejects settled; each page by every link, in every light.
import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { usersByStatus } from "../foreign/docusign.mjs";
import { start, stop } from "../foreign/processes.mjs";
import { accessible, tabTo, visit } from "./browser.mjs";
import { check, until } from "./checks.mjs";
import { crawl, sameElsewhere } from "./links.mjs";
import { looks } from "./looks.mjs";

// As in cmd/signoff/demo.go.
const integrationKey = "5a1f0b66-demo-integration-key";
const userID = "00000000-0000-4000-8000-0000000000aa";
const account = "demo0000-0000-4000-8000-000000000001";

const leavers = 240;

// startDemo returns where its parts are, once it has said so.
async function startDemo(signoff, log) {
  const began = Date.now();
  const seen = {};
  const [job] = await start(log, (line) => {
    seen.ana ??= line.match(/^ +(http\S+#token=\S+)$/)?.[1];
    seen.vera ??= line.match(/vera only looks: +(http\S+)$/)?.[1];
    seen.webhook ??= line.match(/webhook (http\S+)/)?.[1];
    seen.docusign ??= line.match(/webhook http\S+ +(http\S+)/)?.[1];
    seen.files ??= line.match(/^ +files +(\S+)$/)?.[1];
    return seen.files;
  }, signoff, "demo", "--stay", "--leavers", String(leavers), "--over", "30s", "--for", "15m");
  const token = (link) => link.split("#token=")[1];
  return { ...seen, job, began, base: new URL(seen.ana).origin, secrets: [token(seen.ana), token(seen.vera)], token };
}

export async function demo(browser, signoff, folder) {
  const site = await check("the demo starts and says where to look", () => startDemo(signoff, join(folder, "demo.log")));
  if (site === undefined) {
    return;
  }
  const seen = await visit(browser, site);
  await moving(site, seen, folder);
  const ana = await seen.context.storageState();
  await people(browser, site, ana, folder);
  await deciding(browser, site, ana, seen, folder);
  await looking(browser, site, ana, folder);
  await seen.leave();
  await check("the demo ends when it is told to", async () => assert.equal(await stop(site.job), 0, "exit status"));
}

// says waits for what a page says of what was just done.
const says = (page, words) => page.getByRole("status").filter({ hasText: words }).waitFor();

const number = (text) => Number(text.replace(/[^\d]/g, ""));

// moving looks at the Overview while leavers are closed.
async function moving(site, seen, folder) {
  const { page } = seen;
  await check("its link signs in, opens Overview and leaves no token behind", async () => {
    await page.goto(site.ana, { waitUntil: "load" });
    await page.waitForURL((url) => url.pathname === "/" && url.search === "?range=5m");
    assert.equal(new URL(page.url()).hash, "", "behind the #");
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    assert.match(await seen.text("header"), /ana\s+operator/);
  });
  await check("there is something to see within seconds", async () => {
    await until("a number that is not 0", async () => (await page.locator("#path .big").allInnerTexts()).some((text) => number(text) > 0), 10_000);
    const took = (Date.now() - site.began) / 1000;
    assert.ok(took < 10, `after ${took} s`); // 5 s on a machine with nothing else to do
    await page.screenshot({ path: join(folder, "first-sight.png") });
    return `${took.toFixed(1)} s after the demo was started`;
  });
  await check("the first useful view is small", () => firstView(site, seen));
  await check("numbers move without a reload", async () => {
    let loads = 0;
    const count = (frame) => { loads += frame === page.mainFrame() ? 1 : 0; };
    page.on("framenavigated", count);
    const values = new Set();
    await until("five versions of the numbers", async () => {
      values.add((await page.locator("#path .big").allInnerTexts()).join(" "));
      return values.size >= 5;
    }, 30_000);
    page.off("framenavigated", count);
    assert.equal(loads, 0, "loads of the page");
    await page.screenshot({ path: join(folder, "moving.png"), fullPage: true });
    return [...values].slice(-1)[0].replace(/\s+/g, " ");
  });
  await check("the next batch is counted down as m:ss", async () => {
    const texts = new Set();
    await until("three texts", async () => {
      const clock = page.locator("#path [data-until]");
      if (await clock.count() > 0) {
        texts.add(await clock.first().innerText({ timeout: 1000 }).catch(() => "now"));
      }
      return texts.size >= 3;
    });
    for (const text of texts) {
      assert.match(text, /^(\d+:\d\d|now)$/);
    }
    return [...texts].join(", ");
  });
  await check("what needs a person is said, and led to", async () => {
    await until("holds and rejects", async () => /hold|approv|protect|administrator/i.test(await seen.text("#needs")) && /reject|understood/i.test(await seen.text("#needs")));
    for (const link of await page.locator("#needs a").all()) {
      const path = await link.getAttribute("href");
      const answer = await seen.context.request.get(site.base + path);
      assert.equal(answer.status(), 200, path);
    }
    return (await seen.text("#needs ul")).replace(/\s+/g, " ");
  });
}

// firstView sums up what a browser without a cache is sent until the Overview is there.
async function firstView(site, seen) {
  const page = await seen.context.newPage();
  const cdp = await seen.context.newCDPSession(page);
  await cdp.send("Network.enable");
  await cdp.send("Network.setCacheDisabled", { cacheDisabled: true });
  let bytes = 0, files = 0;
  cdp.on("Network.loadingFinished", (e) => { bytes += e.encodedDataLength; files++; });
  await page.goto(`${site.base}/?range=5m`, { waitUntil: "load" });
  await page.locator("#path .big").first().waitFor();
  await page.close();
  const limit = 200 * 1024;
  assert.ok(bytes <= limit && files >= 3, `${bytes} bytes in ${files} files, allowed are ${limit}`);
  return `${(bytes / 1024).toFixed(0)} KiB in ${files} files, ${(100 * bytes / limit).toFixed(0)} % of what is allowed`;
}

// people looks at who may do what.
async function people(browser, site, ana, folder) {
  await check("who has not signed in is sent to sign in, and back to the page asked for", async () => {
    const seen = await visit(browser, site);
    await seen.go("/holds?state=decided");
    assert.equal(seen.path(), `/sign-in?next=${encodeURIComponent("/holds?state=decided")}`);
    await accessible(seen.page, "sign-in");
    await seen.page.screenshot({ path: join(folder, "sign-in.png") });
    await seen.page.getByLabel("Token").fill(site.token(site.ana));
    await seen.page.getByRole("button", { name: "Sign in" }).click();
    await seen.page.waitForURL((url) => url.pathname === "/holds");
    assert.equal(seen.path(), "/holds?state=decided");
    await seen.leave();
  });
  await check("a wrong token is told of", async () => {
    const seen = await visit(browser, site);
    await seen.go("/sign-in?next=%2Freport");
    await seen.page.getByLabel("Token").fill("wrong");
    await seen.page.getByRole("button", { name: "Sign in" }).click();
    await seen.page.getByRole("alert").waitFor();
    assert.match(seen.path(), /^\/sign-in\?(?=.*why=wrong)(?=.*next=%2Freport)/);
    assert.match(await seen.text("[role=alert]"), /did not match/);
    await seen.page.getByLabel("Token").fill(site.token(site.ana));
    await seen.page.getByRole("button", { name: "Sign in" }).click();
    await seen.page.waitForURL((url) => url.pathname === "/report");
    await seen.leave();
  });
  await check("a link of somebody else's signs in as them, once one says so", async () => {
    const seen = await visit(browser, site);
    await seen.page.goto(site.ana, { waitUntil: "load" });
    await seen.page.waitForURL((url) => url.pathname === "/");
    await seen.page.goto(site.vera, { waitUntil: "load" });
    assert.equal(new URL(seen.page.url()).hash, "", "behind the #");
    assert.match(await seen.text("header"), /ana\s+operator/);
    await seen.page.getByRole("button", { name: "Sign in" }).click(); // which ends ana's session there
    await until("vera", async () => /vera\s+viewer/.test(await seen.text("header").catch(() => "")), 10_000);
    await seen.leave();
  });
  await check("the session's cookie is kept from scripts and other sites", async () => {
    const cookies = ana.cookies.filter(({ name }) => name.includes("signoff"));
    assert.equal(cookies.length, 1, JSON.stringify(ana.cookies.map(({ name }) => name)));
    const [{ httpOnly, sameSite, path, secure, name }] = cookies;
    assert.deepEqual({ httpOnly, sameSite, path, secure, name }, { httpOnly: true, sameSite: "Lax", path: "/", secure: false, name: "signoff" });
  });
  await check("signing out ends the session", async () => {
    const seen = await visit(browser, site);
    await seen.page.goto(site.ana, { waitUntil: "load" });
    await seen.page.waitForURL((url) => url.pathname === "/");
    const before = await seen.context.storageState();
    await seen.page.getByRole("button", { name: "Sign out" }).click();
    await seen.page.waitForURL((url) => url.pathname === "/sign-in");
    await seen.go("/");
    assert.match(seen.path(), /^\/sign-in/);
    await seen.leave();
    const again = await visit(browser, site, { storageState: before });
    await again.go("/");
    assert.match(again.path(), /^\/sign-in/, "with the cookie of before");
    await again.leave();
  });
  await check("a viewer has no buttons, and is refused", () => viewer(browser, site));
}

async function viewer(browser, site) {
  const seen = await visit(browser, site, { expects: ["status of 403"] });
  await seen.page.goto(site.vera, { waitUntil: "load" });
  await seen.page.waitForURL((url) => url.pathname === "/");
  const holds = await (await seen.context.request.get(`${site.base}/api/v1/holds`)).json();
  const rejects = await (await seen.context.request.get(`${site.base}/api/v1/rejects`)).json();
  const [hold, reject] = [holds.holds[0], rejects.rejects[0]];
  for (const path of ["/", "/leavers", `/leavers/${hold.users[0].entry}`, "/holds", `/holds/${hold.id}`, "/rejects", `/rejects/${reject.id}`, "/report"]) {
    await seen.go(path);
    const forms = await seen.page.locator("form[method=post]").evaluateAll((forms) => forms.map((f) => new URL(f.action).pathname));
    assert.deepEqual(forms.filter((action) => !["/sign-out", "/leavers"].includes(action)), [], `forms of ${path}`);
  }
  const forged = {
    [`/holds/${hold.id}/approve`]: { digest: hold.digest, reason: "forged" },
    [`/holds/${hold.id}/reject`]: { digest: hold.digest, reason: "forged" },
    [`/rejects/${reject.id}/discard`]: { reason: "forged" },
    [`/rejects/${reject.id}/replay`]: {},
    "/rejects/replay": {},
    [`/leavers/${hold.users[0].entry}/skip`]: { reason: "forged" },
    "/freezes": { until: "2099-01-01T00:00", reason: "forged" },
  };
  await seen.go("/");
  for (const [path, form] of Object.entries(forged)) {
    const status = await seen.page.evaluate(async ([path, form]) => (await fetch(path, { method: "POST", body: new URLSearchParams(form) })).status, [path, form]);
    assert.equal(status, 403, path);
  }
  const after = await (await seen.context.request.get(`${site.base}/api/v1/holds/${hold.id}`)).json();
  assert.equal(after.state, "open", "the hold that was to be decided");
  await seen.leave();
  // From another site's page, with ana's cookie, which SameSite would not even send.
  const answer = await fetch(`${site.base}/holds/${hold.id}/approve`, { method: "POST", headers: { origin: "https://evil.example", "sec-fetch-site": "cross-site",
    cookie: "signoff=x", "content-type": "application/x-www-form-urlencoded" }, body: "reason=x", redirect: "manual" });
  assert.equal(answer.status, 403, "from another site");
}

// atDocusign returns the open and the closed users by Docusign's own word.
function atDocusign(site) {
  return usersByStatus({ base: site.docusign, integrationKey, userID, privateKey: readFileSync(join(site.files, "key.pem")), account });
}

const listed = async (seen, site, path) => (await seen.context.request.get(site.base + path)).json();

// deciding goes through what needs a person.
async function deciding(browser, site, ana, overview, folder) {
  const seen = await visit(browser, site, { storageState: ana });
  const { page } = seen;
  const hold = await check("a limit is passed: the hold appears on an open page", async () => {
    await seen.go("/holds");
    await page.locator("#list tr", { hasText: "limit" }).first().waitFor({ timeout: 120_000 });
    await until("it on the Overview", async () => (await overview.text("#needs")).match(new RegExp(`\\b${leavers}\\b`)), 20_000);
    await overview.page.screenshot({ path: join(folder, "limit.png"), fullPage: true });
    const all = (await listed(seen, site, "/api/v1/holds")).holds;
    const found = all.find((h) => h.kinds.includes("limit"));
    assert.equal(found.users.length, leavers, "users in it");
    return found;
  }, 150_000);
  if (hold === undefined) {
    return seen.leave();
  }
  await check("a reject is replayed, and the person closed", async () => {
    const closed = (await atDocusign(site)).Closed.length;
    await seen.go("/rejects");
    await page.screenshot({ path: join(folder, "rejects-open.png"), fullPage: true });
    const reject = (await listed(seen, site, "/api/v1/rejects")).rejects.find((r) => r.eventId === "termination-newcomer");
    await page.getByRole("link", { name: `Reject ${reject.id}`, exact: true }).click();
    await page.waitForURL((url) => url.pathname === `/rejects/${reject.id}`);
    assert.match(await seen.text("pre"), /employeeId/);
    await page.getByRole("button", { name: "Replay" }).click();
    await says(page, "Replayed.");
    assert.match(await seen.text(), /replayed/);
    await until("one more is closed at Docusign", async () => (await atDocusign(site)).Closed.length === closed + 1);
  });
  const before = await atDocusign(site);
  await check("it is approved by keyboard alone, with a reason, and closes are seen", async () => {
    await page.goto(`${site.base}/`, { waitUntil: "load" });
    await tabTo(page, "#needs a[href*='limit']");
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.pathname.startsWith("/holds"));
    if (new URL(page.url()).pathname === "/holds") { // or else the link led to the hold itself
      await tabTo(page, `#list a[href="/holds/${hold.id}"]`);
      await page.keyboard.press("Enter");
    }
    await page.waitForURL((url) => url.pathname === `/holds/${hold.id}`);
    await page.screenshot({ path: join(folder, "hold-before.png"), fullPage: false });
    const second = await page.context().newPage();
    await second.goto(`${site.base}/holds/${hold.id}`, { waitUntil: "load" });
    await second.locator("input[name=user]").nth(1).uncheck();
    assert.deepEqual((await second.locator("[data-ticked]").innerText()).split(" of ").map(number), [leavers - 1, leavers], "how many are ticked");
    await tabTo(page, "textarea[name=reason]");
    await page.keyboard.type("The plant closes: HR has confirmed it by phone.");
    await tabTo(page, "button:not([formaction]):not(.danger)");
    await page.keyboard.press("Enter");
    await says(page, "Approved.");
    assert.match(await seen.text("[role=status].good"), /Approved/);
    await until("a second window says that the hold has changed", () => second.locator("#stale").isVisible(), 20_000);
    assert.ok(await second.getByRole("button", { name: /^Approve/ }).isDisabled(), "the second window may still approve");
    await second.screenshot({ path: join(folder, "hold-stale.png") });
    await second.close();
    const closed = async () => number(await overview.page.locator("#path li").last().locator(".big").innerText());
    await until("the closes on the Overview that was open all the while", async () => (await closed()) >= leavers + 0.6 * leavers, 60_000);
    await until("the closes at Docusign", async () => (await atDocusign(site)).Closed.length >= before.Closed.length + leavers, 60_000);
    await page.screenshot({ path: join(folder, "hold-approved.png") });
  }, 180_000);
  await check("another is rejected with a reason, and nobody of it is closed", async () => {
    await seen.go("/holds");
    const other = (await listed(seen, site, "/api/v1/holds")).holds.find((h) => h.kinds.includes("protected"));
    await page.getByRole("link", { name: `Hold ${other.id}`, exact: true }).click();
    await page.getByLabel("Reason").fill("They stay: the board’s own decision.");
    await page.getByRole("button", { name: /^Reject/ }).click();
    await says(page, "Rejected.");
    assert.match(await seen.text(), /rejected.*by ana.*The board|They stay: the board’s own decision/s);
    const users = await atDocusign(site);
    for (const { email } of other.users) {
      assert.ok(users.Active.includes(email), "somebody of it is closed");
    }
    await seen.go(`/leavers/${other.users[0].entry}`);
    assert.match(await seen.text(), /skipped|left open/);
  });
  await check("a decision without a reason is refused where the rules ask for one", async () => {
    const other = (await listed(seen, site, "/api/v1/holds")).holds[0];
    await seen.go(`/holds/${other.id}`);
    await page.getByRole("button", { name: /^Reject/ }).click();
    assert.equal(await page.evaluate(() => document.activeElement.name), "reason", "what the browser asks for");
  });
  await check("rubbish is discarded for a reason", async () => {
    const reject = (await listed(seen, site, "/api/v1/rejects")).rejects.find((r) => r.eventId === "ping");
    await seen.go(`/rejects/${reject.id}`);
    await page.getByLabel("Reason").fill("Nobody: somebody tried the topic.");
    await page.getByRole("button", { name: "Discard" }).click();
    await says(page, "Discarded.");
    assert.match(await seen.text(), /Nobody: somebody tried the topic\./);
    await seen.go("/rejects");
    assert.ok(!(await seen.text("#list")).includes(`Reject ${reject.id}\n`), "it is still in the list of open ones");
  });
  await check("without script a hold is approved and every page is read", () => withoutScript(browser, site));
  await seen.leave();
}

async function withoutScript(browser, site) {
  const seen = await visit(browser, site, { javaScriptEnabled: false });
  await seen.go("/holds");
  await seen.page.getByLabel("Token").fill(site.token(site.ana));
  await seen.page.getByRole("button", { name: "Sign in" }).click();
  await seen.page.waitForURL((url) => url.pathname === "/holds");
  for (const path of ["/?range=5m", "/leavers", "/leavers?state=closed", "/rejects", "/report", "/holds?state=decided", "/holds"]) {
    assert.equal((await seen.go(path)).status(), 200, path);
    assert.ok((await seen.text()).length > 100, path);
    assert.match(await seen.text("footer"), /UTC/);
  }
  await seen.page.locator("#list tr", { hasText: "administrator" }).first().getByRole("link", { name: /^Hold/ }).click();
  await seen.page.getByLabel("Reason").fill("Handed over to IT.");
  await seen.page.getByRole("button", { name: /^Approve/ }).click();
  await says(seen.page, "Approved.");
  await seen.go("/leavers");
  await seen.page.locator("form[role=search] [name=text]").fill("ana");
  await seen.page.locator("form[role=search] button").first().click();
  assert.equal(seen.path(), "/leavers", "a search is not in the URL");
  assert.match(await seen.text("#list"), /ana/i);
  await seen.leave();
}

// looking goes over each page when all is calm.
async function looking(browser, site, ana, folder) {
  const seen = await visit(browser, site, { storageState: ana });
  const api = (path) => listed(seen, site, path);
  const pages = await check("there is one of each to look at", async () => {
    const of = async (state) => (await api(`/api/v1/leavers?state=${state}&limit=1`)).leavers[0]?.entry;
    const open = (await api("/api/v1/holds")).holds, decided = (await api("/api/v1/holds?state=decided")).holds;
    const reject = async (state) => (await api(`/api/v1/rejects?state=${state}`)).rejects[0]?.id;
    const found = {
      overview: "/?range=5m", "overview-30d": "/?range=30d",
      leavers: "/leavers", "leavers-held": "/leavers?state=held", "leavers-closed": "/leavers?state=closed&sort=due", "leavers-nobody": "/leavers?state=failed",
      "leaver-closed": `/leavers/${await of("closed")}`, "leaver-held": `/leavers/${await of("held")}`, "leaver-skipped": `/leavers/${await of("skipped")}`,
      "leaver-waiting": `/leavers/${await of("waiting")}`, "leaver-cancelled": `/leavers/${await of("cancelled")}`,
      holds: "/holds", "holds-decided": "/holds?state=decided", hold: `/holds/${open[0]?.id}`, "hold-decided": `/holds/${decided.find((h) => h.kinds.includes("limit"))?.id ?? decided[0]?.id}`,
      rejects: "/rejects", "rejects-replayed": "/rejects?state=replayed", reject: `/rejects/${await reject("open")}`, "reject-discarded": `/rejects/${await reject("discarded")}`,
      report: "/report", "sign-in-again": "/sign-in?why=wrong", nothing: "/no/such/page",
    };
    assert.deepEqual(Object.entries(found).filter(([, path]) => path.includes("undefined")), [], "not there");
    return found;
  });
  if (pages === undefined) {
    return seen.leave();
  }
  await looks(browser, site, ana, pages, folder);
  await times(browser, site, ana, pages);
  await check("each page is the same by its link, in another's browser", () => sameElsewhere(browser, site, site.ana, seen, pages), 180_000);
  await check("every link leads somewhere", () => crawl(seen, site), 240_000);
  await check("every number leads to as many rows", () => numbers(seen, site));
  await searching(browser, site, ana, seen);
  await check("what a person types outlives what changes around it", () => typing(browser, site, ana, pages));
  await check("the report prints as a clean page", async () => {
    await seen.go("/report");
    await seen.page.emulateMedia({ media: "print" });
    for (const gone of ["nav", "header.top form", "form", "footer"]) {
      for (const one of await seen.page.locator(gone).all()) {
        assert.ok(!(await one.isVisible()), `${gone} is printed`);
      }
    }
    const pdf = await seen.page.pdf({ path: join(folder, "report.pdf"), preferCSSPageSize: true });
    assert.ok(pdf.length > 10_000, "an empty report");
    const sizes = new Set([...pdf.toString("latin1").matchAll(/\/MediaBox \[([^\]]+)\]/g)].map(([, size]) => size));
    assert.equal(sizes.size, 1, `sheets of ${[...sizes].join(" and ")}: what is not the report has one of its own`);
    await seen.page.emulateMedia({ media: null });
  });
  await seen.leave();
}

// numbers compares what Overview and the report count with how many leavers the links
// of the numbers list.
async function numbers(seen, site) {
  let compared = 0;
  for (const path of ["/?range=24h", "/report"]) {
    await seen.go(path);
    const links = await seen.page.locator("main a[href^='/leavers?']").evaluateAll((all) => all.map((a) => [a.getAttribute("href"), a.getAttribute("aria-label") ?? a.textContent]));
    for (const [href, text] of links) {
      const counted = [...text.split(": ").pop().replaceAll("\u2009", "").matchAll(/\d+/g)].reduce((sum, [n]) => sum + Number(n), 0);
      const { total } = await listed(seen, site, `/api/v1${href}${href.includes("limit=") ? "" : "&limit=1"}`);
      assert.equal(total, counted, `${path} says “${text}”, and ${href} lists`);
      compared++;
    }
  }
  const { holds } = await listed(seen, site, "/api/v1/holds");
  await seen.go("/");
  const held = number(await seen.page.locator("#path a[href='/holds']").innerText());
  assert.equal(held, new Set(holds.flatMap((h) => h.users.map((u) => u.entry))).size, "held");
  assert.ok(compared >= 10, `only ${compared} numbers`);
  return `${compared} numbers`;
}

// typing has the daemon change what a page shows while somebody writes in it.
async function typing(browser, site, ana, pages) {
  const seen = await visit(browser, site, { storageState: ana });
  const other = await visit(browser, site, { storageState: ana });
  await seen.go(pages.hold);
  const field = seen.page.getByLabel("Reason");
  await field.fill("Half a thou");
  await other.go("/holds");
  await other.page.locator("details:has(form[action='/freezes']) summary").click();
  const freeze = other.page.locator("form[action='/freezes']");
  await freeze.locator("[type=datetime-local]").fill(new Date(Date.now() + 86_400_000).toISOString().slice(0, 16));
  await freeze.locator("[name=reason]").fill("Nothing on a Sunday.");
  const asked = seen.page.waitForRequest((request) => request.headers()["signoff-live"] === "1");
  await freeze.getByRole("button").click();
  await says(other.page, "Frozen.");
  await asked;
  await seen.page.waitForTimeout(1000);
  assert.equal(await field.inputValue(), "Half a thou");
  assert.ok(await field.evaluate((e) => e === document.activeElement), "the field has lost the focus");
  await other.page.locator("form[action$='/end'] [name=reason]").fill("It is Monday.");
  await other.page.locator("form[action$='/end'] button").click();
  await says(other.page, "The freeze is ended.");
  await other.leave();
  await seen.leave();
}

async function times(browser, site, ana, pages) {
  for (const timezoneId of ["America/New_York", "Asia/Kolkata", "UTC"]) {
    await check(`times are those of ${timezoneId}, with the exact one on hover`, async () => {
      const seen = await visit(browser, site, { storageState: ana, timezoneId });
      await seen.go(pages.reject);
      const shown = await seen.page.locator("main time").evaluateAll((all) => all.map((t) => ({ at: t.dateTime, text: t.textContent, title: t.title })));
      assert.ok(shown.length >= 2, "no times");
      for (const { at, text, title } of shown) {
        const part = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: timezoneId, ...options }).format(new Date(at));
        assert.ok(text.includes(part({ hour: "2-digit", minute: "2-digit" })), `${at} is shown as ${text}`);
        assert.ok(at.endsWith("Z") && title.startsWith(at), `${title} is the exact time of ${at}`);
      }
      const line = await seen.text("#zone");
      assert.ok(line.includes(timezoneId === "UTC" ? "UTC" : timezoneId.replace("Kolkata", "")), line);
      await seen.leave();
      return `${shown[0].text} for ${shown[0].at}`;
    });
  }
}

async function searching(browser, site, ana, seen) {
  await check("a search is posted, and works by its link", async () => {
    const { leavers } = await listed(seen, site, "/api/v1/leavers?state=closed&limit=1");
    const { email, entry } = leavers[0];
    await seen.go("/leavers");
    await seen.page.locator("form[role=search] [name=text]").fill(email);
    await seen.page.keyboard.press("Enter");
    await until("the leaver alone", async () => (await seen.page.locator("#list tbody tr").count()) === 1);
    const link = seen.page.url();
    assert.ok(link.includes("#q="), link);
    const elsewhere = await visit(browser, site, { storageState: ana });
    await elsewhere.page.goto(link, { waitUntil: "load" });
    await until("the same in another window", async () => (await elsewhere.page.locator("#list tbody tr").count()) === 1);
    assert.equal(await elsewhere.page.locator(`#list a[href="/leavers/${entry}"]`).count() > 0, true);
    await elsewhere.leave();
  });
  await check("a search by name finds people, and one for nobody says what to do", async () => {
    await seen.go("/leavers");
    const field = seen.page.locator("form[role=search] [name=text]");
    await field.fill("müller");
    await seen.page.keyboard.press("Enter");
    await until("people of that name", async () => /müller/i.test(await seen.text("#list")) && !/Almeida/.test(await seen.text("#list")));
    await field.fill("nobody@nowhere.example");
    await seen.page.keyboard.press("Enter");
    await until("nobody", async () => /nobody|none|no leaver/i.test(await seen.text("#list")) && (await seen.page.locator("#list tbody tr").count()) === 0);
    return (await seen.text("#list")).replace(/\s+/g, " ").slice(0, 200);
  });
}
