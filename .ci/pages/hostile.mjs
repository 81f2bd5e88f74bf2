// Whatever an event, a mapping, Docusign or a person can fill is filled with markup.
// Pages must show it as text, and nothing of it may come to life.
import assert from "node:assert/strict";

import { visit } from "./browser.mjs";
import { check, until } from "./checks.mjs";

const source = 'https://hr.example.com/?"><script>window.hacked="source"</script>';

// payload is markup of several sorts, with a mark by which to find it.
const payload = (mark) => `${mark}<img src=x onerror="window.hacked='${mark}'">"'><svg onload=alert(1)>{{7*7}}\${7*7}`;

// Addresses: markup is not let in where an email is asked for, so these do what is left.
const emails = ["plain.one@example.com", "plain.two@example.com", "refused@example.com", "'onmouseover=alert(1)'@example.com", "javascript:alert(1)@example.com",
  "&lt&gt&quot@example.com", "{{7*7}}${7*7}@example.com", "`onclick`='x'@example.com", "%3cscript%3e@example.com"];
const others = ["<b>bold</b>@example.com", "<script>alert(1)</script>@example.com", '"<svg/onload=alert(1)>"@example.com'];

export const hostileUsers = emails.map((email, i) => ({
  email: email.toUpperCase(), name: payload(`docusign${i}`),
  ...(email.startsWith("refused") ? { close_error: "<img src=x onerror=alert(2)>" } : {}),
}));

const terminated = (id, data, more = {}) => ({
  specversion: "1.0", type: "dev.signoff.employee.terminated.v1", source, id, subject: data.employeeId ?? "subject", time: new Date().toISOString(), datacontenttype: "application/json", data, ...more,
});

export async function hostile(browser, site) {
  const accepted = await check("XSS: events with markup in every field come in", () => send(site));
  if (accepted === undefined) {
    return;
  }
  const seen = await visit(browser, site, { expects: ["status of 400", "status of 404", "status of 409", "status of 422", "does not conform to the required format"] });
  await seen.context.addInitScript(() => { for (const name of ["alert", "confirm", "prompt"]) window[name] = () => { window.hacked = name; }; });
  await seen.page.goto(site.link("ana"), { waitUntil: "load" });
  await seen.page.waitForURL((url) => url.pathname === "/");
  const api = async (path) => (await seen.context.request.get(site.base + path)).json();
  await check("XSS: what comes to life would be seen", async () => {
    await seen.page.evaluate(() => document.body.insertAdjacentHTML("beforeend", '<img src=x onerror="window.hacked=1"><p style="color: red"></p>'));
    await assert.rejects(() => lifeless(seen, "markup"), /onerror/);
    await until("offences against the policy", () => seen.faults.filter((f) => f.startsWith("CSP: ")).length >= 2);
    seen.faults.length = 0;
  });
  await check("XSS: the first plan is held, with Docusign’s words in it", async () => {
    await until("hold", async () => (await api("/api/v1/holds")).holds.length > 0);
    const [hold] = (await api("/api/v1/holds")).holds;
    await harmless(seen, `/holds/${hold.id}`);
    await harmless(seen, "/holds");
    await harmless(seen, "/");
  });
  await check("XSS: reasons that people give", () => reasons(seen, site, api));
  await check("XSS: leavers, each by every page of theirs", async () => {
    const { leavers } = await api("/api/v1/leavers?limit=200");
    await harmless(seen, "/leavers");
    const text = await seen.text("#list");
    for (const email of new Set(leavers.map((l) => l.email))) {
      assert.ok(text.includes(email), `${email} is not shown as it is`);
    }
    assert.ok(leavers.length >= accepted.recorded, `${leavers.length} leavers of ${accepted.recorded}`);
    for (const { entry, email, name } of leavers) {
      await harmless(seen, `/leavers/${entry}`);
      const shown = await seen.text();
      assert.ok(shown.includes(email), `${email} is not shown as it is`);
      assert.ok(!name || shown.includes(name), `${name} is not shown as it is`);
    }
    return `${leavers.length} leavers`;
  });
  await check("XSS: rejects, with what came", async () => {
    const { rejects } = await api("/api/v1/rejects");
    assert.ok(rejects.length >= 3, `${rejects.length} rejects`);
    await harmless(seen, "/rejects");
    for (const { id, eventId } of rejects) {
      await harmless(seen, `/rejects/${id}`);
      const shown = await seen.text();
      assert.ok(shown.includes("<img src=x") || shown.includes("<script>"), `reject ${id} does not show what came`);
      assert.ok(!eventId || shown.includes(eventId.trim()), `${eventId} is not shown as it is`);
    }
    return `${rejects.length} rejects`;
  });
  await check("XSS: the report", async () => {
    await harmless(seen, "/report");
    const html = await seen.page.goto(`${site.base}/api/v1/report?format=html`, { waitUntil: "load" }).catch(() => null);
    if (html && (html.headers()["content-type"] ?? "").startsWith("text/html")) {
      await lifeless(seen, "/api/v1/report");
    }
  });
  await check("XSS: what stands in links", async () => {
    const q = encodeURIComponent(payload("query"));
    for (const path of [`/leavers?account=${q}`, `/leavers?state=${q}`, `/leavers?received_from=${q}`, `/leavers?after=${q}`, `/rejects?origin=${q}`, `/rejects?reason=${q}`, `/holds?kind=${q}`, `/holds?state=${q}`,
      `/holds?before=${q}`, `/report?since=${q}`, `/?range=${q}`, `/sign-in?why=${q}&next=${q}`, `/sign-in?next=${encodeURIComponent("javascript:alert(1)")}`, `/holds?done=${q}`, `/${q}`, `/leavers/${q}`]) {
      await harmless(seen, path);
    }
    await seen.page.goto(`${site.base}/leavers#q=${q}`, { waitUntil: "load" });
    await until("what was sought in the field", async () => (await seen.page.locator("form[role=search] [name=text]").inputValue()).includes("<img"));
    await lifeless(seen, "/leavers#q=");
    for (const next of ["//evil.example/", "https://evil.example/", "/\\evil.example", "/%5cevil.example", "\t//evil.example", "javascript:alert(1)"]) {
      const out = await visit(browser, site);
      await out.page.goto(`${site.base}/sign-in?next=${encodeURIComponent(next)}#token=${site.tokens.vera}`, { waitUntil: "load" });
      await until("signed in", async () => /vera\s+viewer/.test(await out.text("header").catch(() => "")), 10_000);
      assert.equal(new URL(out.page.url()).origin, site.base, next);
      await out.leave();
    }
  });
  await seen.leave();
}

// send sends events, and returns how many must have been taken in as leavers.
export async function send(site) {
  const json = "application/cloudevents+json";
  let recorded = 0;
  for (const [i, email] of emails.entries()) {
    const answer = await site.post("/events", json, terminated(`<i>id ${i}</i>"'><img src=x onerror=alert(1)>`, {
      email, employeeId: payload(`E${i}`).slice(0, 100), otherEmails: [`'onfocus=alert(${i})@other.example.com`], managerEmail: "<u>boss</u>@example.com",
      givenName: payload(`given${i}`), familyName: payload(`family${i}`), department: payload(`department${i}`), legalEntity: payload(`entity${i}`),
      terminationId: `<s>termination ${i}</s>`,
    }, { subject: payload(`subject${i}`), traceparent: `<b>${i}</b>` }));
    recorded += answer.status === 202 ? 1 : 0;
  }
  for (const [i, email] of others.entries()) {
    await site.post("/events", json, terminated(`<i>other ${i}</i>`, { email, givenName: payload("rejected") }));
  }
  // What can't be understood: an employee of nobody, a day that is none, data that is none; payloads that a mapping stumbles over.
  await site.post("/events", json, terminated('<script>window.hacked="reject"</script>', { employeeId: payload("nobody").slice(0, 100) }));
  await site.post("/events", json, terminated("<i>day</i>", { email: "plain.one@example.com", effectiveAt: payload("day") }));
  await site.post("/events", json, terminated("<i>data</i>", payload("data")));
  await site.post("/events", json, terminated("<i>text</i>", { email: payload("email") }));
  await site.post("/mapped", "application/json", { people: [{ mail: payload("mail"), name: payload("name"), day: payload("day") }] });
  await site.post("/mapped", "application/json", { people: payload("people") });
  await site.post("/mapped", "application/json", { [payload("key")]: 1 });
  await site.post("/events", json, terminated("<i>id 0</i>\"'><img src=x onerror=alert(1)>", { email: "another@example.com", givenName: payload("reused") }));
  assert.equal(recorded, emails.length, "events recorded");
  return { recorded };
}

// reasons gives reasons with markup wherever a page asks for one.
async function reasons(seen, site, api) {
  const { page } = seen;
  const say = async (path, button, mark, fill = async () => {}) => {
    await seen.go(path);
    const form = page.locator("form", { has: page.locator("button", { hasText: button }) }).last();
    await form.evaluate((form) => form.closest("details:not([open])")?.querySelector("summary").click());
    await fill(form);
    await form.locator("[name=reason]").first().fill(payload(mark));
    await form.locator("button", { hasText: button }).click();
    await page.waitForLoadState("load");
    await lifeless(seen, `${path}, ${mark}`);
  };
  await say("/holds", /^Freeze/, "freeze", (form) => form.locator("[type=datetime-local]").fill(inDays(3)));
  await says(seen, payload("freeze"));
  await say("/holds", /^End/, "end");
  const { leavers } = await api("/api/v1/leavers?limit=200");
  await say(`/leavers/${leavers.at(-1).entry}`, /^Skip/, "skip");
  await says(seen, payload("skip"));
  for (const hold of (await api("/api/v1/holds")).holds) {
    await say(`/holds/${hold.id}`, /^Approve/, "approve");
    await says(seen, payload("approve"));
  }
  const [reject] = (await api("/api/v1/rejects")).rejects;
  await say(`/rejects/${reject.id}`, /^Discard/, "discard");
  await says(seen, payload("discard"));
  await until("Docusign's refusal", async () => {
    const { leavers } = await api("/api/v1/leavers?limit=200");
    return leavers.some(({ email, state, reason }) => email.startsWith("refused") && state !== "held" && reason !== "");
  });
}

const inDays = (days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 16);

// says asserts that the page shows a text as it is.
async function says(seen, what) {
  const text = await seen.text();
  assert.ok(text.includes(what), `${seen.path()} does not say ${what}: ${text}`);
}

// harmless opens a page, and looks whether anything in it has come to life.
async function harmless(seen, path) {
  await seen.go(path);
  await lifeless(seen, path);
}

async function lifeless(seen, what) {
  const alive = await seen.page.evaluate(() => {
    const found = [];
    if (window.hacked) found.push(`window.hacked is ${window.hacked}`);
    for (const e of document.querySelectorAll("*")) {
      if (e.matches('img[src="x"], script:not([src]), svg[onload], iframe, object, embed, base, main b[onclick]')) found.push(e.outerHTML.slice(0, 100));
      for (const { name, value } of e.attributes) {
        if (name.startsWith("on") || name === "style" || (["href", "src", "action", "formaction"].includes(name) && /^\s*(javascript|data):/i.test(value))) found.push(`${e.tagName} ${name}=${value.slice(0, 60)}`);
      }
      if (["B", "I", "U", "S"].includes(e.tagName) && /^(bold|id \d|boss|termination \d|\d|day|data|text|Hostile|sign-in)$/.test(e.textContent)) found.push(e.outerHTML);
    }
    return found;
  });
  assert.deepEqual(alive, [], what);
}
