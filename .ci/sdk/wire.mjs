// What stands between a client and the simulated Docusign, and writes down what
// it sees: a router in plain HTTP for signoff, a TLS proxy for the official
// clients, which speak nothing else.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

// recorder forwards every request to where route sends it, and keeps it. With
// tls it is an HTTPS server with that key and certificate.
export async function recorder(route, tls) {
  const calls = [];
  const handle = async (req, res) => {
    const body = await whole(req);
    const call = { method: req.method, url: req.url, headers: req.headers, body };
    calls.push(call);
    const { port, path } = route(req.url);
    const options = { host: "127.0.0.1", port, path, method: req.method, headers: req.headers };
    const upstream = http.request(options, async (answer) => {
      call.status = answer.statusCode;
      call.violations = answer.headers["sl-violations"];
      call.answer = await whole(answer);
      const headers = { ...answer.headers, "content-length": call.answer.length };
      delete headers["transfer-encoding"];
      res.writeHead(answer.statusCode, headers).end(call.answer);
    });
    upstream.on("error", (error) => res.writeHead(502).end(String(error)));
    upstream.end(body);
  };
  const server = tls ? https.createServer({ key: readFileSync(tls.key), cert: readFileSync(tls.cert) }, handle) : http.createServer(handle);
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { calls, port: server.address().port, close: () => server.close(() => {}).closeAllConnections() };
}

async function whole(stream) {
  const parts = [];
  for await (const part of stream) {
    parts.push(part);
  }
  return Buffer.concat(parts);
}

// meaning is a call without what says nothing of what is asked: order and
// spelling of the query, other headers, the shape of JSON.
export function meaning({ method, url, headers, body }) {
  const { pathname, searchParams } = new URL(url, "http://x");
  const query = Object.fromEntries([...searchParams].map(([name, value]) => [name, value.split(",").sort().join(",")]));
  const text = body.toString();
  return {
    method,
    path: pathname,
    query,
    authorization: (headers.authorization ?? "").split(" ")[0],
    ...(text && { type: (headers["content-type"] ?? "").split(";")[0], body: read(text) }),
  };
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text.replaceAll("\r\n", "\n").trim();
  }
}
