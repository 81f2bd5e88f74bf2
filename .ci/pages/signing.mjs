// Who comes in by OpenID Connect, and how far; a line that breaks; too many attempts.
import assert from "node:assert/strict";
import { join } from "node:path";

import { accessible, visit } from "./browser.mjs";
import { check, until } from "./checks.mjs";
import { looks } from "./looks.mjs";
import { password, startLine } from "./site.mjs";

// byProvider signs in as one of the issuer's people, from the page that was asked for.
async function byProvider(browser, site, name, path, options = {}) {
  const seen = await visit(browser, site, options);
  await seen.go(path);
  await seen.page.getByRole("link", { name: "Example’s <i>sign-in</i>" }).click();
  await seen.page.waitForURL((url) => url.origin === new URL(site.issuer).origin);
  await seen.page.getByText(name, { exact: false }).first().click();
  await seen.page.waitForURL((url) => url.origin === new URL(site.base).origin);
  return seen;
}

export async function signing(browser, site, folder) {
  await check("empty pages say what to do", () => empty(browser, site, folder), 180_000);
  await check("OIDC: an operator comes back to the page asked for, and may decide", async () => {
    const seen = await byProvider(browser, site, "Ana", "/holds?state=open");
    assert.equal(seen.path(), "/holds?state=open");
    assert.match(await seen.text("header"), /ana@example\.com\s+operator/i);
    assert.ok(await seen.page.locator("form[action='/freezes']").count() === 1, "no form to freeze");
    await seen.leave();
  });
  await check("OIDC: a viewer looks, and has no buttons", async () => {
    const seen = await byProvider(browser, site, "Vera", "/holds", { expects: ["status of 403"] });
    assert.match(await seen.text("header"), /vera@example\.com\s+viewer/i);
    assert.equal(await seen.page.locator("form[action='/freezes']").count(), 0, "forms to freeze");
    const status = await seen.page.evaluate(async () => (await fetch("/freezes", { method: "POST", body: new URLSearchParams({ until: "2099-01-01T00:00", reason: "x" }) })).status);
    assert.equal(status, 403);
    await seen.leave();
  });
  await check("OIDC: who has no role is told so, and is not let in", async () => {
    const seen = await byProvider(browser, site, "Nick", "/holds");
    assert.match(seen.path(), /^\/sign-in\?(?=.*why=oidc_no_role)/);
    await seen.page.getByRole("alert").waitFor();
    await seen.page.screenshot({ path: join(folder, "oidc-no-role.png") });
    await accessible(seen.page, "sign-in by OIDC");
    await seen.go("/holds");
    assert.match(seen.path(), /^\/sign-in/);
    await seen.leave();
  });
}

async function empty(browser, site, folder) {
  const seen = await visit(browser, site);
  await seen.page.goto(site.link("ana"), { waitUntil: "load" });
  await seen.page.waitForURL((url) => url.pathname === "/");
  const storage = await seen.context.storageState();
  for (const path of ["/", "/leavers", "/holds", "/holds?state=decided", "/rejects", "/report"]) {
    assert.equal((await seen.go(path)).status(), 200, path);
    assert.ok(!/NaN|undefined|0001-01-01|<nil>|%!/.test(await seen.text()), `${path}: ${(await seen.text()).match(/.{0,20}(NaN|undefined|0001-01-01|<nil>|%!).{0,20}/)?.[0]}`);
  }
  await looks(browser, site, storage, { overview: "/", leavers: "/leavers", holds: "/holds", rejects: "/rejects", report: "/report", "sign-in": "/sign-in?why=oidc_away" }, folder, "empty-");
  await seen.leave();
}

// secure looks at a site by https, whose web config has a user.
export async function secure(browser, site) {
  const open = async (name, path) => {
    const seen = await visit(browser, site, { ignoreHTTPSErrors: true, expects: ["status of 401"] });
    await seen.page.goto(site.link(name, path), { waitUntil: "load" });
    await seen.page.waitForURL((url) => url.pathname === path);
    return seen;
  };
  const signedOut = async (seen, limit) => {
    const banner = seen.page.locator("#offline");
    await until("that one is signed out", async () => (await banner.isVisible()) && /signed out/.test(await banner.innerText()), limit);
    await seen.page.reload();
    await seen.page.waitForURL((url) => url.pathname === "/sign-in");
  };
  const lasting = await check("one signs in by https", () => open("vera", "/"));
  await check("by https the session’s cookie is one that only this host can set", async () => {
    const seen = await open("ana", "/holds");
    const cookies = (await seen.context.cookies()).map(({ name, httpOnly, sameSite, path, secure }) => ({ name, httpOnly, sameSite, path, secure }));
    assert.deepEqual(cookies, [{ name: "__Host-signoff", httpOnly: true, sameSite: "Lax", path: "/", secure: true }]);
    await seen.leave();
  });
  await check("a password lets in who may look", async () => {
    const seen = await visit(browser, site, { ignoreHTTPSErrors: true });
    await seen.go("/rejects?state=discarded");
    const form = seen.page.locator("form", { has: seen.page.getByLabel("Password") });
    for (const word of ["not it", password]) {
      await form.getByLabel("Name").fill("grafana");
      await form.getByLabel("Password").fill(word);
      await form.getByRole("button").click();
      await seen.page.waitForURL((url) => word === password ? url.pathname === "/rejects" : url.searchParams.get("why") === "wrong");
    }
    assert.equal(seen.path(), "/rejects?state=discarded");
    assert.match(await seen.text("header"), /grafana\s+viewer/);
    await accessible(seen.page, "rejects");
    await seen.leave();
  });
  await check("a token that is taken away ends its sessions, and an open page says so", async () => {
    const seen = await open("ana", "/leavers");
    site.revoke();
    await signedOut(seen, 60_000);
    await seen.leave();
  });
  await check("a session ends at its time, and an open page says so", async () => {
    await signedOut(lasting, 90_000);
    await lasting.leave();
  }, 120_000);
}

// nameless looks at a site where nobody is told from anybody else.
export async function nameless(browser, site, folder) {
  await check("without tokens or sign-in whoever comes looks, and sees no address", async () => {
    const answer = await site.post("/events", "application/cloudevents+json", { specversion: "1.0", type: "dev.signoff.employee.terminated.v1", source: "https://hr.example.com",
      id: "of.secret@example.com", subject: "E1", time: new Date().toISOString(), datacontenttype: "application/json", data: { email: "secret@example.com", givenName: "Secretgiven", familyName: "Secretfamily" } });
    assert.equal(answer.status, 202);
    const seen = await visit(browser, site, { expects: ["status of 403"] });
    await seen.go("/");
    await until("that the leaver would be closed", async () => /Would close\s+1\b/.test(await seen.text("#path")));
    for (const path of ["/", "/leavers", "/leavers/1", "/holds", "/rejects", "/report"]) {
      assert.equal((await seen.go(path)).status(), path === "/leavers/1" ? 403 : 200, path); // a story names people
      const text = await seen.page.content();
      assert.ok(!/secret(@|given|family)/i.test(text), `${path} names somebody`);
      assert.equal(await seen.page.locator("form[method=post]:not([role=search])").count(), 0, `forms of ${path}`);
      assert.match(await seen.text("body"), /Dry run.*Nobody is closed/s);
    }
    await seen.leave();
  });
  await looks(browser, site, undefined, { overview: "/", leavers: "/leavers", report: "/report" }, folder, "nameless-");
}

// line looks at pages while the daemon can't be heard.
export async function line(browser, site, folder) {
  const between = await startLine(site);
  const near = { ...site, base: between.base };
  const seen = await visit(browser, near, { expects: ["net::ERR_", "Failed to load resource"] });
  const banner = seen.page.locator("#offline");
  await seen.page.goto(site.link("ana").replace(site.base, near.base), { waitUntil: "load" });
  await seen.page.waitForURL((url) => url.pathname === "/");
  await check("a line that is cut is told of, and of its mending", async () => {
    await seen.page.waitForTimeout(1500);
    assert.ok(!(await banner.isVisible()), "the banner is there before");
    between.cut();
    await banner.waitFor({ state: "visible", timeout: 30_000 });
    assert.match(await banner.innerText(), /No connection to signoff/);
    await seen.page.screenshot({ path: join(folder, "offline.png") });
    await accessible(seen.page, "offline");
    between.mend();
    await banner.waitFor({ state: "hidden", timeout: 30_000 });
  });
  await check("a line that goes dumb is told of, and of its mending", async () => {
    between.silence();
    await banner.waitFor({ state: "visible", timeout: 40_000 });
    between.mend();
    await banner.waitFor({ state: "hidden", timeout: 40_000 });
  });
  await check("after a restart one is asked to sign in again", async () => {
    await site.restart();
    await until("the banner", async () => (await banner.isVisible()) && /sign/i.test(await banner.innerText()), 60_000);
    await seen.page.reload();
    await seen.page.waitForURL((url) => url.pathname === "/sign-in");
  });
  await seen.leave();
  between.stop();
}

// attempts goes last: nobody can sign in for a while.
export async function attempts(browser, site) {
  await check("too many attempts are told of, and the right token lets in all the same", async () => {
    const seen = await visit(browser, site);
    await seen.go("/sign-in");
    const tryToken = async (token) => {
      await seen.page.getByLabel("Token").fill(token);
      await seen.page.getByRole("button", { name: "Sign in", exact: true }).first().click();
      await seen.page.waitForURL((url) => url.searchParams.has("why"));
      await seen.page.waitForLoadState("load");
    };
    for (let i = 0; i < 200 && !seen.path().includes("why=too_many"); i++) {
      await tryToken(`wrong-${i}`);
    }
    assert.match(seen.path(), /why=too_many/);
    assert.match(await seen.text("[role=alert]"), /Too many attempts/);
    await seen.go("/sign-in");
    await seen.page.getByLabel("Token").fill(site.tokens.ana);
    await seen.page.getByRole("button", { name: "Sign in", exact: true }).first().click();
    await seen.page.waitForURL((url) => url.pathname === "/");
    await seen.leave();
  }, 120_000);
}
