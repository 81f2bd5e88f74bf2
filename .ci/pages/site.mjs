// A site of its own beside the demo: the real daemon by a config, a simulated
// Docusign whose users have markup for names, an issuer of OpenID Connect.
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { start, stop } from "../foreign/processes.mjs";

const account = "a11ce000-0000-4000-8000-000000000001";
const userID = "a11ce000-0000-4000-8000-0000000000aa";
const integrationKey = "a11ce000-0000-4000-8000-0000000000ff";

// password is that of grafana, who looks by the web config of a secure site.
export const password = "a password for tests";
const passwordHash = "$2a$10$6Z.jaaigVtdD9uL61MyFMOdtEEb8Br2i8.8jZPheNVgti79tIjbdW";

// startSite starts all of it. users are those of Docusign, besides two administrators;
// secure: by https, with a user of a web config, and with sessions that soon end;
// open: in a dry run, to whoever comes.
export async function startSite(signoff, issuer, logs, { users = [], secure = false, open = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "signoff-pages-"));
  process.once("exit", () => rmSync(folder, { recursive: true }));
  const inFolder = (name) => join(folder, name);
  execFileSync("openssl", ["genrsa", "-out", inFolder("key.pem"), "2048"], { stdio: "pipe" });
  execFileSync("openssl", ["rsa", "-in", inFolder("key.pem"), "-pubout", "-out", inFolder("public.pem")], { stdio: "pipe" });
  const token = (name) => {
    const text = randomBytes(24).toString("base64url");
    return { name, text, hash: createHash("sha256").update(text).digest("hex") };
  };
  const [ana, ben, vera, sender] = ["ana", "ben", "vera", "sender"].map(token);
  writeFileSync(inFolder("tokens"), `ana:operator:${ana.hash}\nben:operator:${ben.hash}\nvera:viewer:${vera.hash}\n`, { mode: 0o600 });
  writeFileSync(inFolder("sender"), sender.text, { mode: 0o600 });
  writeFileSync(inFolder("oidc-secret"), "secret", { mode: 0o600 });
  writeFileSync(inFolder("people.csv"), "employee id,email\nE1,somebody@example.com\n");
  writeFileSync(inFolder("simulate.yaml"), JSON.stringify({ // which is YAML as well
    integration_key: integrationKey, user_id: userID, public_key_file: inFolder("public.pem"),
    accounts: [{ id: account, name: "<b>Hostile</b> & Sons", users: [
      { id: userID, email: "signoff@example.com", administrator: true, created: "2020-01-01T00:00:00Z" },
      { email: "it@example.com", administrator: true, created: "2020-01-01T00:00:00Z" },
      ...users.map((u) => ({ created: "2020-01-01T00:00:00Z", ...u })),
    ] }],
  }));
  const [provider, issuerURL] = await start(join(logs, "issuer.log"), (line) => line.match(/^http:\S+$/)?.[0], issuer);
  const [docusign, docusignURL] = await start(join(logs, "simulate.log"), (line) => line.match(/http:\S+/)?.[0],
    signoff, "simulate", "--listen", "127.0.0.1:0", "--config", inFolder("simulate.yaml"));
  const admin = await freePort();
  const base = `${secure ? "https" : "http"}://127.0.0.1:${admin}`;
  if (secure) {
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-keyout", inFolder("tls.key"), "-out", inFolder("tls.crt"), "-subj", "/CN=127.0.0.1", "-days", "1"], { stdio: "pipe" });
    writeFileSync(inFolder("web.yml"), JSON.stringify({ tls_server_config: { cert_file: "tls.crt", key_file: "tls.key" }, basic_auth_users: { grafana: passwordHash } }));
  }
  writeFileSync(inFolder("signoff.yaml"), JSON.stringify({
    mode: open ? "dry-run" : "close",
    ledger: `sqlite://${inFolder("ledger.db")}`,
    webhook: { listen: "127.0.0.1:0", endpoints: [
      { path: "/events", auth: { bearer_file: inFolder("sender") } },
      { path: "/mapped", auth: { bearer_file: inFolder("sender") }, mapping: "odd" },
    ] },
    events: {
      time_zone: "Europe/Lisbon",
      directory: { csv: inFolder("people.csv") },
      mappings: [{ name: "odd", expression: 'body.people.map(p, {"email": p.mail, "givenName": p.name, "effectiveAt": p.day})' }],
    },
    docusign: { auth_server: docusignURL, integration_key: integrationKey, user_id: userID, private_key_file: inFolder("key.pem"), accounts: [account] },
    batch: { interval: "2s" },
    admin: open ? { listen: `127.0.0.1:${admin}` } : {
      listen: `127.0.0.1:${admin}`, tokens_file: inFolder("tokens"), ...(secure ? { web_config_file: inFolder("web.yml"), session: "1m" } : {}),
      oidc: {
        issuer: issuerURL, client_id: "signoff", client_secret_file: inFolder("oidc-secret"), redirect_url: `${base}/sign-in/callback`,
        name: "Example’s <i>sign-in</i>", viewers: ["viewers"], operators: ["operators"],
      },
    },
  }));
  const site = { base, hosts: [new URL(issuerURL).host], issuer: issuerURL, secrets: [ana.text, ben.text, vera.text], account,
    tokens: { ana: ana.text, ben: ben.text, vera: vera.text }, link: (name, next = "/") => `${base}/sign-in?next=${encodeURIComponent(next)}#token=${site.tokens[name]}` };
  // Takes ana's token away from her, as an edit of the file would.
  site.revoke = () => writeFileSync(inFolder("tokens"), `ben:operator:${ben.hash}\nvera:viewer:${vera.hash}\n`, { mode: 0o600 });
  site.run = async () => {
    [site.daemon, site.webhook] = await start(join(logs, "daemon.log"), listener(), signoff, "run", "--config", inFolder("signoff.yaml"));
  };
  site.post = (path, type, body) => fetch(`http://${site.webhook}${path}`, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": type, authorization: `Bearer ${sender.text}` } });
  site.stop = async () => {
    await stop(site.daemon);
    await stop(docusign);
    await stop(provider);
  };
  site.restart = async () => {
    await stop(site.daemon);
    await site.run();
  };
  await site.run();
  return site;
}

// listener hears from the daemon's log where webhooks are taken, once all runs.
function listener() {
  let webhook, runs;
  return (line) => {
    const { msg, ...fields } = line.startsWith("{") ? JSON.parse(line) : {};
    runs ||= msg === "signoff runs";
    webhook ??= msg === "webhooks are taken" ? fields.address : undefined;
    return runs ? webhook : undefined;
  };
}

function freePort() {
  return new Promise((found) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
}

// startLine is a line between browsers and a site that can be cut, or go dumb.
export async function startLine(site) {
  const target = new URL(site.base);
  const sockets = new Set();
  let dumb = false, cut = false;
  const { connect } = await import("node:net");
  const server = createServer((near) => {
    if (cut) {
      near.destroy();
      return;
    }
    const far = connect(target.port, target.hostname);
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.on("data", (data) => { if (!dumb) other.write(data); });
      one.on("close", () => { sockets.delete(one); other.destroy(); });
      one.on("error", () => other.destroy());
    }
  });
  await new Promise((up) => server.listen(0, "127.0.0.1", up));
  const drop = () => sockets.forEach((socket) => socket.destroy());
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    cut: () => { cut = true; drop(); },
    mend: () => { cut = false; if (dumb) { dumb = false; drop(); } },
    silence: () => { dumb = true; },
    stop: () => { drop(); server.close(); },
  };
}
