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
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
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
const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

async function main(folder) {
  const inFolder = (name) => join(folder, name);
  execFileSync("openssl", ["genrsa", "-out", inFolder("key.pem"), "2048"], { stdio: "pipe" });
  execFileSync("openssl", ["rsa", "-in", inFolder("key.pem"), "-pubout", "-out", inFolder("public.pem")], { stdio: "pipe" });
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", inFolder("tls.key"), "-out", inFolder("tls.pem"),
    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], { stdio: "pipe" });
  https.globalAgent.options.ca = readFileSync(inFolder("tls.pem")); // the clients speak https and nothing else

  writeFileSync(inFolder("simulate.yaml"), simulateConfig(inFolder));
  const [docusign, base] = await start(join(logs, "simulate.log"), (line) => line.match(/http:\S+/)?.[0],
    signoff, "simulate", "--listen", "127.0.0.1:0", "--config", inFolder("simulate.yaml"));
  const simulated = Number(new URL(base).port);
  const { esignature, admin } = mended(shared, folder);
  const [first, esignaturePort] = await startPrism("prism-esignature.log", esignature, `${base}/restapi`);
  const [second, adminPort] = await startPrism("prism-admin.log", admin, `${base}/Management`);

  const between = await recorder((url) => {
    for (const [prefix, port] of [["/restapi", esignaturePort], ["/Management", adminPort]]) {
      if (url.startsWith(prefix + "/")) {
        return { port, path: url.slice(prefix.length) };
      }
    }
    return { port: simulated, path: url };
  });
  try {
    await close(inFolder, between, "account", range(0, 300));
    await close(inFolder, between, "organization", range(300, 400));
  } finally { // a call that violates a description is not even passed on
    writeFileSync(join(logs, "violations"), violating(between.calls).map(({ method, url, status, violations, answer }) =>
      `${method} ${url} ${status} ${violations ?? answer}\n`).join(""));
  }
  const api = between.calls.filter(({ url }) => !url.startsWith("/oauth/"));
  const violated = violating(api);
  assert.equal(violated.length, 0, `calls that violate the descriptions, see ${join(logs, "violations")}`);
  assert.ok(api.length > 10, "calls were seen");
  console.log(`${api.length} calls of signoff, none of which violates the descriptions`);

  const secure = await recorder((url) => ({ port: simulated, path: url }), { key: inFolder("tls.key"), cert: inFolder("tls.pem") });
  const official = await signIn({ host: `127.0.0.1:${secure.port}`, integrationKey, userID, privateKey: readFileSync(inFolder("key.pem")), account: accounts[0] });
  await tryAll(official, accounts[0], {
    listed: 3 + 100, closes: id(1, 400), refused: id(1, 401),
    imported: [402, 403, 404].map((n) => ({ id: id(1, n), email: email(n) })),
  });
  console.log("the official clients understand the simulated Docusign");
  await compare(official, secure, api);
  for (const one of [between, secure]) {
    one.close();
  }
  for (const job of [first, second, docusign]) {
    await stop(job);
  }
}

const violating = (calls) => calls.filter(({ status, violations }) => violations || status === 422);

function startPrism(log, description, upstream) {
  return start(join(logs, log), (line) => line.match(/listening on http:\/\/127\.0\.0\.1:(\d+)/)?.[1],
    prism, "proxy", description, upstream, "--errors", "--port", String(freePort()));
}

// freePort asks the system for one; Prism takes no 0.
function freePort() {
  return Number(execFileSync(process.execPath, ["-e", "const s=require('net').createServer().listen(0,'127.0.0.1',()=>{console.log(s.address().port);s.close()})"]));
}

// close has signoff close these people, through the recorder.
async function close(inFolder, between, via, people) {
  writeFileSync(inFolder("signoff.yaml"), JSON.stringify({
    mode: "close",
    ledger: `sqlite://${inFolder(via + ".db")}`,
    webhook: { listen: "127.0.0.1:0", endpoints: [{ path: "/events", auth: "none" }] },
    docusign: {
      auth_server: `http://127.0.0.1:${between.port}`, integration_key: integrationKey, user_id: userID, private_key_file: inFolder("key.pem"),
      accounts, close_via: via, organization, remove_from: via === "account" ? ["signing_groups"] : [],
    },
    guard: { first_run: "close", limits: [{ window: "1h", max: 1000 }] },
  }));
  writeFileSync(inFolder(via + ".csv"), ["email", ...people.map(email), "nobody@example.com", ""].join("\n"));
  await run("", signoff, "close", inFolder(via + ".csv"), "--config", inFolder("signoff.yaml"), "--results", join(logs, via + ".results.csv"), "--yes")
    .catch(({ stderr, message }) => assert.fail(`signoff close by way of the ${via}: ${stderr || message.slice(0, 500)}`));
  const closed = readFileSync(join(logs, via + ".results.csv"), "utf8").split("\n").filter((line) => line.includes(",closed,")).length;
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
    if (ours.method === "POST") {
      // The client sends the bytes of the file as application/octet-stream, the
      // samples as text/csv, as the text on updating users has it.
      assert.equal(theirs.type, "application/octet-stream");
      assert.equal(ours.type, "text/csv");
      theirs.type = ours.type;
    }
    if (ours.body === undefined) { // the client says what it would send, though it sends nothing
      delete theirs.type;
    }
    delete theirs.query._; // the client's way around caches
    assert.deepEqual(ours, theirs, what);
    console.log(`the same as the official client's: ${what}`);
  }
  assert.ok(kinds.size >= 7, `only ${kinds.size} kinds of calls were compared`);
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
        ...range(0, 500).map((n) => ({ id: id(i + 1, n), email: email(n), created, ...(n === 401 && { close_error: "SOME_CODE" }) })),
      ],
    })),
  });
}

const folder = mkdtempSync(join(tmpdir(), "signoff-sdk-"));
try {
  await main(folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
