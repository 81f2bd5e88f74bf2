// Docusign's own clients at work: what they understand of the simulated
// Docusign is right, and what they send is how it is meant to be asked.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import admin from "docusign-admin";
import esign from "docusign-esign";

// signIn signs in by JWT and finds the account, as the SDK's samples do.
export async function signIn({ host, integrationKey, userID, privateKey, account }) {
  const oauth = new esign.ApiClient();
  oauth.setOAuthBasePath(host);
  const tokenFor = (scopes) => oauth.requestJWTUserToken(integrationKey, userID, scopes, privateKey, 600);
  const token = await tokenFor(["signature", "impersonation", "user_read", "user_write", "organization_read"]);
  assert.equal(token.body.token_type, "Bearer");
  const userInfo = () => oauth.getUserInfo(token.body.access_token);
  const info = await userInfo();
  assert.equal(info.sub, userID);
  const mine = info.accounts.find(({ accountId }) => accountId === account);
  assert.ok(mine, "userinfo has the account");
  assert.ok(mine.organization?.organization_id, "and its organization");
  const client = new esign.ApiClient();
  client.setBasePath(mine.baseUri.replace(/^http:/, "https:") + "/restapi");
  client.setJWTToken(token.body.access_token);
  const organization = new admin.ApiClient();
  organization.setBasePath(`https://${host}/Management`);
  organization.addDefaultHeader("Authorization", `Bearer ${token.body.access_token}`);
  return {
    tokenFor,
    userInfo,
    users: new esign.UsersApi(client),
    imports: new admin.BulkImportsApi(organization),
    profiles: new admin.UsersApi(organization),
    organizationID: mine.organization.organization_id,
  };
}

// tryAll does what an administrator does, and says what came of it.
export async function tryAll({ users, imports, profiles, organizationID }, account, { listed, closes, refused, imported }) {
  const all = [];
  for (let start = 0, total = 1; start < total; ) {
    const page = await users.list(account, { status: "Active", count: "100", startPosition: String(start) });
    total = Number(page.totalSetSize);
    all.push(...page.users);
    start += page.users.length;
    assert.ok(page.users.length > 0, `an empty page at ${start} of ${total}`);
  }
  assert.equal(new Set(all.map(({ userId }) => userId)).size, listed, "users listed, page by page");

  const answer = await users._delete(account, { userInfoList: { users: [{ userId: closes.id }, { userId: refused.id }] } });
  const byId = Object.fromEntries(answer.users.map((user) => [user.userId, user]));
  assert.equal(byId[closes.id].errorDetails, undefined, "the one is closed");
  assert.equal(byId[refused.id].errorDetails.errorCode, refused.code, "the other is refused, by its code");
  const { users: found } = await users.list(account, { email: closes.email, status: "Active,Closed" });
  assert.deepEqual(found.map(({ userId, userStatus }) => [userId, userStatus]), [[closes.id, "Closed"]], "the one, looked up");

  const opened = await users.updateUsers(account,
    { userInformationList: { users: [{ userId: closes.id, sendActivationEmail: "send" }] } });
  assert.deepEqual(opened.users.map(({ userId, userStatus }) => [userId, userStatus]), [[closes.id, "ActivationSent"]], "the one, opened again");

  await assert.rejects(users.list(account, { email: "nobody@example.com", status: "Active" }),
    (error) => error.response.status === 400 && error.response.data.errorCode === "USER_LACKS_MEMBERSHIP", "nobody has no membership");

  const profile = await profiles.getUserProfiles(organizationID, { email: imported[0].email });
  const memberships = profile.users.flatMap((user) => user.memberships);
  assert.ok(memberships.some((m) => m.account_id === account && m.status === "active"), "the organization knows a membership");

  const rows = imported.map(({ id, email }) => `${account},${id},${email}`);
  const file = Buffer.from(["AccountID,APIUserName,UserEmail", ...rows, ""].join("\n"));
  const begun = await imports.createBulkImportCloseUsersRequest(organizationID, file);
  assert.ok(begun.id, "the import has an id");
  let state = begun;
  for (let polls = 0; state.status !== "completed"; polls++) {
    assert.ok(polls < 60, `the import is ${state.status} for a minute`);
    await sleep(1000);
    state = await imports.getBulkUserImportRequest(organizationID, begun.id);
  }
  assert.equal(Number(state.closed_user_count), imported.length, "users closed by the import");
  const results = String(await imports.getBulkUserImportCSV(organizationID, begun.id));
  for (const { id } of imported) {
    assert.ok(results.includes(id), "each is in the results");
  }
}

// same has the official clients ask what signoff has asked.
export async function same({ users, imports, profiles, organizationID, tokenFor, userInfo }, { method, path, query, body }) {
  const [, account] = path.match(/accounts\/([^/]+)\/users$/) ?? [];
  const [, importID, csv] = path.match(/bulk_users\/([^/]+)(\/results_csv)?$/) ?? [];
  const options = { ...query, startPosition: query.start_position, additionalInfo: query.additional_info };
  switch (true) {
    case path === "/oauth/token":
      return tokenFor(body.claims.scope);
    case path === "/oauth/userinfo":
      return userInfo();
    case method === "GET" && account !== undefined:
      return users.list(account, options);
    case method === "DELETE" && account !== undefined:
      return users._delete(account, { _delete: query.delete, userInfoList: body });
    case path.endsWith("/users/profile"):
      return profiles.getUserProfiles(organizationID, query);
    case method === "POST" && importID === "close":
      return imports.createBulkImportCloseUsersRequest(organizationID, Buffer.from(body));
    case method === "GET" && path.endsWith("/bulk_users"):
      return imports.getBulkUserImportRequests(organizationID);
    case method === "GET" && csv !== undefined:
      return imports.getBulkUserImportCSV(organizationID, importID);
    case method === "GET" && importID !== undefined:
      return imports.getBulkUserImportRequest(organizationID, importID);
  }
  throw new Error(`${method} ${path}: signoff asks what no official client was told to`);
}
