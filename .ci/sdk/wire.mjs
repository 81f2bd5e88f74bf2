// What stands between a client and the simulated Docusign, and writes down what
// it sees: a router in plain HTTP for signoff, a TLS proxy for the official
// clients, which speak nothing else.
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
      call.answer = await whole(answer);
      call.violations = answer.headers["sl-violations"] ?? refusal(answer, call.answer);
      const headers = { ...answer.headers, "content-length": call.answer.length };
      delete headers["transfer-encoding"];
      res.writeHead(answer.statusCode, headers).end(call.answer);
    });
    upstream.on("error", (error) => res.writeHead(502).end(String(error)));
    upstream.end(body);
  };
  const server = tls ? https.createServer(tls, handle) : http.createServer(handle);
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { calls, port: server.address().port };
}

// refusal is what Prism itself answers, to a path that is in no description for
// one: nothing else here answers in that type.
function refusal({ headers }, answer) {
  return headers["content-type"]?.startsWith("application/problem+json") ? answer.toString() : undefined;
}

async function whole(stream) {
  const parts = [];
  for await (const part of stream) {
    parts.push(part);
  }
  return Buffer.concat(parts);
}

// meaning is a call without what says nothing of what is asked: order and
// spelling of the query, most of the headers, the shape of JSON.
export function meaning({ method, url, headers, body }) {
  const { pathname, searchParams } = new URL(url, "http://x");
  const query = Object.fromEntries([...searchParams].map(([name, value]) => [name, value.split(",").sort().join(",")]));
  const type = (headers["content-type"] ?? "").split(";")[0];
  const text = body.toString();
  return {
    method,
    path: pathname,
    query,
    authorization: (headers.authorization ?? "").split(" ")[0],
    accept: headers.accept,
    disposition: headers["content-disposition"],
    ...(text && { type, body: type.endsWith("urlencoded") ? form(text, headers.host) : read(text) }),
  };
}

// form reads the sign-in. Its assertion is for the host that it is sent to, and
// for how long is up to the client.
function form(text, host) {
  const { assertion, ...rest } = Object.fromEntries(new URLSearchParams(text));
  if (assertion === undefined) {
    return rest;
  }
  const [header, claims] = assertion.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
  return { ...rest, header, claims: { ...claims, aud: claims.aud === host ? "the host" : claims.aud,
    scope: claims.scope.split(" ").sort(), iat: typeof claims.iat, exp: typeof claims.exp } };
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text.replaceAll("\r\n", "\n").trim();
  }
}
