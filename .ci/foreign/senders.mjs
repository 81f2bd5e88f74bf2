// The ways by which programs that are not ours send CloudEvents. Each takes the
// leavers it is to announce and throws unless all of them were taken.
import { request } from "node:https";

import { CloudEvent, HTTP, Kafka } from "cloudevents";
import kafkajs from "kafkajs";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

import { run } from "./processes.mjs";

// ways returns for each way, by its name, how many leavers it announces and how.
export function ways({ webhook, tls, token, secret, broker, topic, sarama }) {
  const post = ({ headers, body }) => postTo(`${webhook}/events`, tls, { headers: { ...headers, authorization: `Bearer ${token}` }, body });
  const signed = (path, message) => postTo(`${webhook}${path}`, tls, message);
  const kcat = (message) => produce(broker, topic, message);
  const sdk = (leaver, ...args) => run(termination(leaver).toString(), sarama, "-broker", broker, "-topic", topic, ...args);

  return {
    "http-binary": { leavers: 1, send: ([leaver]) => post(HTTP.binary(termination(leaver))) },
    "http-structured": { leavers: 1, send: ([leaver]) => post(HTTP.structured(termination(leaver))) },
    "http-batch": { leavers: 3, send: (leavers) => post(batch(leavers)) },
    "standardwebhooks": { leavers: 1, send: ([leaver]) => signed("/signed", sign(new StandardWebhook(secret), "webhook", leaver)) },
    "svix": { leavers: 1, send: ([leaver]) => signed("/svix", sign(new SvixWebhook(secret), "svix", leaver)) },
    "curl": { leavers: 1, send: ([leaver]) => curl(`${webhook}/events`, tls, token, HTTP.binary(termination(leaver))) },
    "kcat-binary": { leavers: 1, send: ([leaver]) => kcat(binary(leaver)) },
    "kcat-structured": { leavers: 1, send: ([leaver]) => kcat(structured(leaver)) },
    "kcat-unlabelled": { leavers: 1, send: ([leaver]) => kcat({ ...structured(leaver), headers: {} }) },
    "kafkajs-binary": { leavers: 1, send: ([leaver]) => byKafkajs(broker, topic, binary(leaver)) },
    "kafkajs-structured": { leavers: 1, send: ([leaver]) => byKafkajs(broker, topic, structured(leaver)) },
    "npm-kafka-binary": { leavers: 1, send: ([leaver]) => kcat(Kafka.binary(termination(leaver))) },
    "npm-kafka-structured": { leavers: 1, send: ([leaver]) => kcat(Kafka.structured(termination(leaver))) },
    "sarama-binary": { leavers: 1, send: ([leaver]) => sdk(leaver) },
    "sarama-structured": { leavers: 1, send: ([leaver]) => sdk(leaver, "-structured") },
  };
}

function termination({ employee, email }) {
  return new CloudEvent({
    type: "dev.signoff.employee.terminated.v1",
    source: "https://hr.example.com/foreign",
    id: `termination-${employee}`,
    subject: employee,
    partitionkey: employee,
    datacontenttype: "application/json",
    data: { employeeId: employee, email, reason: "end_of_contract" },
  });
}

// batch is made by hand, since the package reads batches and writes none.
function batch(leavers) {
  return {
    headers: { "content-type": "application/cloudevents-batch+json; charset=UTF-8" },
    body: JSON.stringify(leavers.map(termination)),
  };
}

// sign makes a message by a package's own signature.
function sign(webhook, prefix, leaver) {
  const { headers, body } = HTTP.structured(termination(leaver));
  const id = `msg_${leaver.employee}`;
  const at = new Date();
  return {
    headers: {
      ...headers,
      [`${prefix}-id`]: id,
      [`${prefix}-timestamp`]: Math.floor(at / 1000),
      [`${prefix}-signature`]: webhook.sign(id, at, body),
    },
    body,
  };
}

// curl sends the body from its standard input. It ends with an error for any
// status that is one.
async function curl(url, { caFile, certFile, keyFile }, token, { headers, body }) {
  const lines = Object.entries({ ...headers, authorization: `Bearer ${token}` }).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  await run(body, "curl", "-sS", "--fail", "--max-time", "20", "--cacert", caFile, "--cert", certFile, "--key", keyFile, ...lines, "--data-binary", "@-", url);
}

// turnedAway throws if curl without a certificate gets as far as an answer.
export async function turnedAway(url, { caFile }) {
  try {
    await run("", "curl", "-sS", "--max-time", "20", "--cacert", caFile, "-X", "OPTIONS", url);
  } catch {
    return;
  }
  throw new Error("a sender without a certificate got an answer");
}

// binary is what somebody writes who has only read the specification.
function binary({ employee, email }) {
  return {
    key: employee,
    headers: {
      "ce_specversion": "1.0",
      "ce_type": "dev.signoff.employee.terminated.v1",
      "ce_source": "https://hr.example.com/by-hand",
      "ce_id": `termination-${employee}`,
      "ce_subject": `Zoë Müller, ${employee}`, // not percent-encoded, unlike HTTP's
      "content-type": "application/json",
    },
    value: { email },
  };
}

function structured(leaver) {
  return {
    key: leaver.employee,
    headers: { "Content-Type": "application/CloudEvents+JSON; charset=UTF-8" },
    value: termination(leaver).toString(),
  };
}

// postTo does not use the package's own transport, which hides the status and
// shows no certificate.
async function postTo(url, { ca, cert, key }, { headers, body }) {
  const { status, text } = await new Promise((resolve, reject) => {
    const req = request(url, { method: "POST", headers, ca, cert, key, timeout: 20_000 }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part) => (text += part)).on("error", reject)
        .on("end", () => resolve({ status: answer.statusCode, text }));
    });
    req.on("error", reject).on("timeout", () => req.destroy(new Error("no answer for 20 s"))).end(body);
  });
  if (status !== 202) {
    throw new Error(`answered ${status}: ${text}`);
  }
}

// produce sends headers without a value as a Kafka client does: with null.
async function produce(broker, topic, { key, headers, value }) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const flags = Object.entries(headers).flatMap(([name, value]) => ["-H", value === undefined ? name : `${name}=${value}`]);
  await run(text, "kcat", "-P", "-b", broker, "-t", topic, "-k", key, "-X", "message.timeout.ms=20000", ...flags);
}

async function byKafkajs(broker, topic, { key, headers, value }) {
  const client = new kafkajs.Kafka({
    brokers: [broker], clientId: "hr", logLevel: kafkajs.logLevel.NOTHING, retry: { retries: 3 },
  });
  const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  try {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    await producer.send({ topic, acks: -1, timeout: 20_000, messages: [{ key, headers, value: text }] });
  } finally {
    await producer.disconnect();
  }
}
