// Sends terminations to the daemon by senders of CloudEvents that are not ours,
// over HTTP and through Kafka, and sees that each leaver is closed, and nobody
// else.
//
//   node main.mjs SIGNOFF BROKER SARAMA LOGS
//
// takes the paths of three programs and of a folder for what they print. It
// ends with 0 if every way led to a closed user.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { usersByStatus } from "./docusign.mjs";
import { start, stop } from "./processes.mjs";
import { turnedAway, ways } from "./senders.mjs";

const [signoff, broker, sarama, logs] = process.argv.slice(2);
const topic = "hr.employee";
const account = "f0f0f0f0-0000-4000-8000-000000000001";
const userID = "f0f0f0f0-0000-4000-8000-0000000000aa";
const integrationKey = "f0f0f0f0-0000-4000-8000-0000000000ff";
const stays = ["signoff@example.com", "it@example.com", "stays@example.com"];

async function main(folder) {
  const inFolder = (name) => join(folder, name);
  const token = randomBytes(24).toString("base64url");
  const secret = `whsec_${randomBytes(32).toString("base64")}`;
  writeFileSync(inFolder("token"), token, { mode: 0o600 });
  writeFileSync(inFolder("secret"), secret, { mode: 0o600 });
  const tls = certificates(inFolder);
  execFileSync("openssl", ["genrsa", "-out", inFolder("key.pem"), "2048"], { stdio: "pipe" });
  execFileSync("openssl", ["rsa", "-in", inFolder("key.pem"), "-pubout", "-out", inFolder("public.pem")], { stdio: "pipe" });

  const [kafka, address] = await start(join(logs, "broker.log"), (line) => line.match(/^\S+:\d+$/)?.[0],
    broker, "-topic", topic);
  const leavers = Object.fromEntries(Object.entries(ways({})).map(([way, { leavers }]) => [way, people(way, leavers)]));
  writeFileSync(inFolder("simulate.yaml"), simulateConfig(inFolder, Object.values(leavers).flat()));
  const [docusign, base] = await start(join(logs, "simulate.log"), (line) => line.match(/http:\S+/)?.[0],
    signoff, "simulate", "--listen", "127.0.0.1:0", "--config", inFolder("simulate.yaml"));
  writeFileSync(inFolder("signoff.yaml"), daemonConfig(inFolder, address, base));
  const [daemon, listens] = await start(join(logs, "daemon.log"), listeners(),
    signoff, "run", "--config", inFolder("signoff.yaml"));

  const webhook = `https://${listens.webhook}`;
  await turnedAway(`${webhook}/events`, tls);
  const failed = await sendAll(ways({ webhook, tls, token, secret, broker: address, topic, sarama }), leavers);
  const sent = Object.keys(leavers).filter((way) => !failed.includes(way)).flatMap((way) => leavers[way]);
  const metrics = `http://${listens.admin}/metrics`;
  await until(60_000, async () => (await counted(metrics, "signoff_outcomes_total", 'outcome="closed"')) === sent.length);
  writeFileSync(join(logs, "metrics"), await get(metrics));
  const users = await usersByStatus({ base, integrationKey, userID, privateKey: readFileSync(inFolder("key.pem")), account });
  assert.deepEqual(users.Closed?.sort(), sent.map(({ email }) => email).sort(), "closed at Docusign");
  assert.equal(await counted(metrics, "signoff_outcomes_total", 'outcome="closed"'), sent.length, "leavers closed");
  assert.equal(await counted(metrics, "signoff_events_received_total", 'result="rejected"'), 0, "events rejected");
  for (const email of stays) {
    assert.ok(users.Active.includes(email), `${email} was closed`);
  }
  assert.equal(await stop(daemon), 0, "exit status of the daemon");
  assert.equal(await stop(docusign), 0, "exit status of the simulated Docusign");
  await stop(kafka);
  checkStatistics(docusign.lines.at(-1), sent.length);
  if (failed.length > 0) {
    throw new Error(`not taken: ${failed.join(", ")}`);
  }
  console.log(`${sent.length} leavers closed, by ${Object.keys(leavers).length} ways`);
}

// certificates has openssl make an authority, and certificates of it for the
// daemon and for the senders.
function certificates(inFolder) {
  const openssl = (...args) => execFileSync("openssl", args, { stdio: "pipe" });
  const key = (name) => ["-newkey", "rsa:2048", "-noenc", "-keyout", inFolder(`${name}.key`), "-out", inFolder(`${name}.crt`), "-subj", `/CN=${name}`, "-days", "1"];
  openssl("req", "-x509", ...key("ca"));
  const issue = (name, ...extensions) =>
    openssl("req", "-x509", ...key(name), "-CA", inFolder("ca.crt"), "-CAkey", inFolder("ca.key"), ...extensions.flatMap((e) => ["-addext", e]));
  issue("server", "subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE");
  issue("sender", "extendedKeyUsage=clientAuth", "basicConstraints=critical,CA:FALSE");
  const files = { caFile: inFolder("ca.crt"), certFile: inFolder("sender.crt"), keyFile: inFolder("sender.key") };
  return { ...files, ca: readFileSync(files.caFile), cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) };
}

function people(way, count) {
  return Array.from({ length: count }, (_, i) => ({ employee: `${way}-${i + 1}`, email: `${way}.${i + 1}@example.com` }));
}

function simulateConfig(inFolder, leavers) {
  const user = (email, more = {}) => ({ email, created: "2020-01-01T00:00:00Z", ...more });
  const [self, it, other] = stays;
  return JSON.stringify({ // which is YAML as well
    integration_key: integrationKey,
    user_id: userID,
    public_key_file: inFolder("public.pem"),
    accounts: [{ id: account, name: "Foreign", users: [
      user(self, { id: userID, administrator: true }),
      user(it, { administrator: true }),
      user(other),
      ...leavers.map(({ email }) => user(email)),
    ] }],
  });
}

function daemonConfig(inFolder, broker, base) {
  return JSON.stringify({
    mode: "close",
    ledger: `sqlite://${inFolder("ledger.db")}`,
    kafka: { brokers: [broker], topics: [topic], group: "signoff" },
    webhook: {
      listen: "127.0.0.1:0",
      tls: { cert_file: inFolder("server.crt"), key_file: inFolder("server.key"), client_ca_file: inFolder("ca.crt") },
      endpoints: [
        { path: "/events", auth: { bearer_file: inFolder("token") } },
        { path: "/signed", auth: { hmac: "standard-webhooks", secret_file: inFolder("secret") } },
        { path: "/svix", auth: { secret_file: inFolder("secret"), hmac: {
          header: "svix-signature", prefix: "v1,", encoding: "base64", secret_encoding: "base64",
          content: "{svix-id}.{svix-timestamp}.{body}", timestamp_header: "svix-timestamp", id_header: "svix-id",
        } } },
      ],
    },
    docusign: {
      auth_server: base,
      integration_key: integrationKey,
      user_id: userID,
      private_key_file: inFolder("key.pem"),
      accounts: [account],
    },
    batch: { interval: "1s" },
    guard: { first_run: "close", limits: [{ window: "1h", max: 1000 }] },
    admin: { listen: "127.0.0.1:0" },
  });
}

// listeners hears from the daemon's log where it listens.
function listeners() {
  let admin, webhook;
  return (line) => {
    const { msg, ...fields } = line.startsWith("{") ? JSON.parse(line) : {};
    admin ??= msg === "signoff runs" ? fields.admin : undefined;
    webhook ??= msg === "webhooks are taken" ? fields.address : undefined;
    return admin && webhook ? { admin, webhook } : undefined;
  };
}

// sendAll sends by each way and returns the names of those that did not work.
async function sendAll(ways, leavers) {
  const failed = [];
  for (const [way, { send }] of Object.entries(ways)) {
    try {
      await send(leavers[way]);
      console.log(`${way}: sent`);
    } catch (error) {
      console.log(`${way}: ${error.message}`);
      failed.push(way);
    }
  }
  return failed;
}

// counted adds up the samples of a metric whose labels include label.
async function counted(url, metric, label) {
  const samples = (await get(url)).split("\n").filter((line) => line.startsWith(metric + "{") && line.includes(label));
  assert.ok(samples.length > 0, `${metric}{${label}}: no such metric`);
  return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

async function get(url) {
  const answer = await fetch(url, { signal: AbortSignal.timeout(20_000) });
  return answer.text();
}

// until waits until done says yes, or for limit milliseconds: what is missing
// then is told better by the checks that follow.
async function until(limit, done) {
  for (const end = Date.now() + limit; !(await done()) && Date.now() < end; ) {
    await sleep(100);
  }
}

// checkStatistics reads what the simulated Docusign says at its end.
function checkStatistics(line, leavers) {
  const statistics = line.match(/^asked: map\[(.*)\], refused for the quota: (\d+)$/);
  assert.ok(statistics, `not statistics: ${line}`);
  const asked = Object.fromEntries(statistics[1].split(" ").map((pair) => pair.split(":")));
  const closes = Number(asked.close_users);
  assert.ok(closes >= 1 && closes <= leavers, `${closes} close requests for ${leavers} leavers`);
  assert.equal(statistics[2], "0", "requests refused for the quota");
}

const folder = mkdtempSync(join(tmpdir(), "signoff-foreign-"));
process.once("exit", () => rmSync(folder, { recursive: true }));
setTimeout(() => {
  console.error("not done after 3 minutes");
  process.exit(1);
}, 180_000).unref();
try {
  await main(folder);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
