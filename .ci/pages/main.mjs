// Has a browser do what people do on the pages, and looks at them.
//
//   node main.mjs SIGNOFF ISSUER ARTIFACTS
//
// takes the paths of two programs and of a folder for pictures and logs. It ends with 0
// if every check was passed. SIGNOFF_PAGES_PARTS is "demo", "site" or both, which it is by
// default; SIGNOFF_PAGES_ONLY, a regular expression, picks checks by their names: those
// that they build on have to be among them.
import { launch } from "./browser.mjs";
import { check, total } from "./checks.mjs";
import { demo } from "./demo.mjs";
import { hostile, hostileUsers } from "./hostile.mjs";
import { attempts, line, nameless, secure, signing } from "./signing.mjs";
import { startSite } from "./site.mjs";

const [signoff, issuer, folder] = process.argv.slice(2);
const parts = (process.env.SIGNOFF_PAGES_PARTS ?? "demo site").split(" ");

const began = Date.now();
setTimeout(() => {
  console.log("FAIL all of it: not done after 15 minutes");
  process.exit(1);
}, 15 * 60_000).unref();

const browser = await launch();
try {
  if (parts.includes("demo")) {
    await demo(browser, signoff, folder);
  }
  if (parts.includes("site")) {
    const site = await check("a site of its own starts", () => startSite(signoff, issuer, folder, { users: hostileUsers }));
    if (site !== undefined) {
      await signing(browser, site, folder);
      await hostile(browser, site);
      await line(browser, site, folder);
      await attempts(browser, site);
      await check("the site ends", () => site.stop());
    }
    const other = await check("a site by https starts", () => startSite(signoff, issuer, folder, { secure: true }));
    if (other !== undefined) {
      await secure(browser, other);
      await check("the site by https ends", () => other.stop());
    }
    const open = await check("a site for whoever comes starts", () => startSite(signoff, issuer, folder, { open: true, users: [{ email: "secret@example.com" }] }));
    if (open !== undefined) {
      await nameless(browser, open, folder);
      await check("the site for whoever comes ends", () => open.stop());
    }
  }
} finally {
  await browser.close();
}
console.log(`   ${Math.round((Date.now() - began) / 1000)} s`);
process.exit(total());
