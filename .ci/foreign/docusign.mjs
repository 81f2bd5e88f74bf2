// Looks into the simulated Docusign as any of its API users would, so that what
// became of the leavers is not taken from the daemon's own word.
import { createSign } from "node:crypto";

// usersByStatus returns the emails of the account's users by their status.
export async function usersByStatus({ base, integrationKey, userID, privateKey, account }) {
  const token = await signIn(base, integrationKey, userID, privateKey);
  const users = {};
  for (let start = 0, total = 1; start < total; ) {
    const page = await json(`${base}/restapi/v2.1/accounts/${account}/users?status=Active,Closed&start_position=${start}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    for (const user of page.users) {
      (users[user.userStatus] ??= []).push(user.email);
    }
    total = Number(page.totalSetSize);
    start += page.users.length;
    if (page.users.length === 0) {
      throw new Error(`users: an empty page at ${start} of ${total}`);
    }
  }
  return users;
}

async function signIn(base, integrationKey, userID, privateKey) {
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = {
    iss: integrationKey, sub: userID, aud: new URL(base).host, iat: now, exp: now + 600,
    scope: "signature impersonation",
  };
  const signed = `${part({ typ: "JWT", alg: "RS256" })}.${part(claims)}`;
  const signature = createSign("RSA-SHA256").update(signed).sign(privateKey, "base64url");
  const answer = await json(`${base}/oauth/token`, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: `${signed}.${signature}` }),
  });
  return answer.access_token;
}

async function json(url, options) {
  const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(20_000) });
  const text = await answer.text();
  if (!answer.ok) {
    throw new Error(`${new URL(url).pathname}: ${answer.status} ${text}`);
  }
  return JSON.parse(text);
}
