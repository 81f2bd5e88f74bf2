// Has signoff close people, by their accounts and by their organization, through
// a proxy that holds every call and every answer against Docusign's API
// descriptions; then has Docusign's official clients work with the same
// simulated Docusign, and ask it what signoff asked.
//
//   node main.mjs SIGNOFF SHARED LOGS
//
// takes the path of the program, the folder with the API descriptions and a
// folder for what all of them print. It ends with 0 if nothing was violated,
// the official clients understood all, and both ask in the same way.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { run, start, stop } from "../foreign/processes.mjs";
import { mended } from "./descriptions.mjs";
import { same, signIn, tryAll } from "./official.mjs";
import { meaning, recorder } from "./wire.mjs";

const [signoff, shared, logs] = process.argv.slice(2);
const prism = join(dirname(fileURLToPath(import.meta.url)), "node_modules/.bin/prism");
const integrationKey = "5d000000-0000-4000-8000-0000000000ff";
const userID = "5d000000-0000-4000-8000-0000000000aa";
const accounts = ["5d000000-0000-4000-8000-000000000001", "5d000000-0000-4000-8000-000000000002"];
const organization = "5d000000-0000-4000-8000-000000000009";

const id = (account, n) => `${String(n).padStart(8, "0")}-000${account}-4000-8000-000000000000`;
const email = (n) => `user${n}@example.com`;
const refused = { n: 403, code: "SOME_CODE" };
const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

async function main(folder) {
  const inFolder = (name) => join(folder, name);
  makeKeys(inFolder);
  https.globalAgent.options.ca = readFileSync(inFolder("tls.pem")); // the official clients speak https and nothing else
  writeFileSync(inFolder("simulate.yaml"), simulateConfig(inFolder));
  const [docusign, base] = await start(join(logs, "simulate.log"), (line) => line.match(/http:\S+/)?.[0],
    signoff, "simulate", "--listen", "127.0.0.1:0", "--config", inFolder("simulate.yaml"));
  const { esignature, admin } = mended(shared, folder);
  const [first, esignaturePort] = await startPrism("prism-esignature.log", esignature, `${base}/restapi`);
  const [second, adminPort] = await startPrism("prism-admin.log", admin, `${base}/Management`);
  const described = { "/restapi": esignaturePort, "/Management": adminPort };
  const route = (path) => {
    const prefix = Object.keys(described).find((prefix) => path.startsWith(prefix + "/"));
    // Signing in is in no description.
    return prefix ? { port: described[prefix], path: path.slice(prefix.length) } : { port: new URL(base).port, path };
  };

  const plain = await recorder(route);
  await unviolated("signoff", plain, async () => {
    for (const [via, people] of [["account", range(0, 300)], ["organization", range(300, 400)]]) {
      await close(inFolder, plain.port, via, people);
    }
    for (const [via, leaver] of [["account", 400], ["organization", 401]]) { // one is looked up: a list of all costs more
      await close(inFolder, plain.port, via, [leaver]);
    }
  });

  const secure = await recorder(route, { key: readFileSync(inFolder("tls.key")), cert: readFileSync(inFolder("tls.pem")) });
  const privateKey = readFileSync(inFolder("key.pem"));
  const official = await signIn({ host: `127.0.0.1:${secure.port}`, integrationKey, userID, privateKey, account: accounts[0] });
  const person = (n) => ({ id: id(1, n), email: email(n) });
  await unviolated("the official clients", secure, () => tryAll(official, accounts[0], {
    listed: 3 + 98,
    closes: person(402),
    refused: { ...person(refused.n), code: refused.code },
    imported: [404, 405, 406].map(person),
  }));
  await compare(official, secure, plain.calls);
  for (const job of [first, second, docusign]) {
    await stop(job);
  }
}

function makeKeys(inFolder) {
  const openssl = (...args) => execFileSync("openssl", args, { stdio: "pipe" });
  openssl("genrsa", "-out", inFolder("key.pem"), "2048");
  openssl("rsa", "-in", inFolder("key.pem"), "-pubout", "-out", inFolder("public.pem"));
  openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", inFolder("tls.key"), "-out", inFolder("tls.pem"),
    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1");
}

// unviolated does something through a recorder, and sees that no call violated
// a description. One that does is refused by Prism, so that whoever sent it may
// well complain first, of something else.
async function unviolated(who, { calls }, something) {
  const failed = await something().then(() => undefined, (error) => error);
  const violations = calls.filter(({ violations }) => violations)
    .map(({ method, url, status, violations }) => `${method} ${url} ${status} ${violations}`);
  assert.deepEqual(violations, [], `${who}: calls that violate the descriptions`);
  if (failed) {
    throw failed;
  }
  const described = calls.filter(({ url }) => !url.startsWith("/oauth/")).length;
  assert.ok(described >= 10, `${who}: only ${described} calls`);
  console.log(`${who}: ${described} calls, none of which violates the descriptions`);
}

async function startPrism(log, description, upstream) {
  return start(join(logs, log), (line) => line.match(/listening on http:\/\/127\.0\.0\.1:(\d+)/)?.[1],
    prism, "proxy", description, upstream, "--errors", "--port", String(await freePort()));
}

// freePort asks the system for one, since Prism takes no 0.
async function freePort() {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

// close has signoff close these people, at a Docusign that is at this port.
async function close(inFolder, port, via, people) {
  const name = `${via}-${people.length}`;
  const results = join(logs, `${name}.results.csv`);
  writeFileSync(inFolder("signoff.yaml"), JSON.stringify({
    mode: "close",
    ledger: `sqlite://${inFolder(name + ".db")}`,
    webhook: { listen: "127.0.0.1:0", endpoints: [{ path: "/events", auth: "none" }] },
    docusign: {
      auth_server: `http://127.0.0.1:${port}`,
      integration_key: integrationKey,
      user_id: userID,
      private_key_file: inFolder("key.pem"),
      accounts,
      close_via: via,
      organization,
      remove_from: via === "account" ? ["signing_groups"] : [],
    },
    guard: { first_run: "close", limits: [{ window: "1h", max: 1000 }] },
  }));
  writeFileSync(inFolder("leavers.csv"), ["email", ...people.map(email), "nobody@example.com", ""].join("\n"));
  const args = ["close", inFolder("leavers.csv"), "--config", inFolder("signoff.yaml"), "--results", results, "--yes"];
  await run("", signoff, ...args)
    .catch(({ stderr, message }) => assert.fail(`signoff close by way of the ${via}: ${stderr || message}`));
  const closed = readFileSync(results, "utf8").split("\n").filter((line) => line.includes(",closed,")).length;
  assert.equal(closed, accounts.length * people.length, `closed by way of the ${via}`);
  console.log(`${closed} users closed by way of the ${via}`);
}

// compare has the official clients repeat one call of each kind that signoff
// made, and holds what both sent against each other.
async function compare(official, secure, calls) {
  const kinds = new Map(calls.map((call) => [kind(call), call]));
  for (const [what, call] of kinds) {
    const ours = meaning(call);
    const before = secure.calls.length;
    const failed = await same(official, ours).then(() => {}, (error) => error); // what it is answered now does not matter
    assert.ok(secure.calls.length > before, `${what}: the official client sends nothing: ${failed}`);
    const theirs = meaning(secure.calls[before]);
    reconcile(ours, theirs);
    assert.deepEqual(ours, theirs, what);
    console.log(`the same as the official client's: ${what}`);
  }
  assert.equal(kinds.size, 10, `kinds of calls that were compared: ${[...kinds.keys()].join("; ")}`);
}

// reconcile takes out where the two differ, and may.
function reconcile(ours, theirs) {
  delete theirs.query._; // the client's way around caches
  if (ours.path.startsWith("/oauth/")) {
    theirs.accept = ours.accept; // theirs is for anything
  }
  if (ours.path.endsWith("/bulk_users/close")) {
    // The client sends the bytes of the file as application/octet-stream, named
    // as if they were a part of a form. The samples, and the description's text
    // on updating users, have text/csv and the name alone.
    assert.deepEqual([theirs.type, ours.type], ["application/octet-stream", "text/csv"]);
    assert.equal(theirs.disposition, 'form-data; name="file"; filename="file.csv"');
    assert.match(ours.disposition, /^filename=[\w.-]+\.csv$/);
    Object.assign(theirs, { type: ours.type, disposition: ours.disposition });
  }
}

function kind({ method, url }) {
  const { pathname, searchParams } = new URL(url, "http://x");
  const path = pathname.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "ID");
  return `${method} ${path} ${[...searchParams.keys()].sort().join(",")}`;
}

function simulateConfig(inFolder) {
  const created = "2020-01-01T00:00:00Z";
  const administrators = [userID, "5d000000-0000-4000-8000-0000000000bb", "5d000000-0000-4000-8000-0000000000cc"]
    .map((id, i) => ({ id, email: `admin${i}@example.com`, administrator: true, created }));
  return JSON.stringify({ // which is YAML as well
    integration_key: integrationKey,
    user_id: userID,
    public_key_file: inFolder("public.pem"),
    organizations: [{ id: organization, import_time: "2s" }],
    accounts: accounts.map((account, i) => ({
      id: account, name: `Account ${i}`, organization,
      users: [
        ...administrators,
        ...range(0, 500).map((n) => ({
          id: id(i + 1, n), email: email(n), created, ...(n === refused.n && { close_error: refused.code }),
        })),
      ],
    })),
  });
}

const folder = mkdtempSync(join(tmpdir(), "signoff-sdk-"));
process.once("exit", () => rmSync(folder, { recursive: true }));
try {
  await main(folder);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
process.exit(0); // our own servers and the clients' connections are still open
