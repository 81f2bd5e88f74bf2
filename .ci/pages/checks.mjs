// Runs checks one after the other and prints a line for each.
const only = process.env.SIGNOFF_PAGES_ONLY ? new RegExp(process.env.SIGNOFF_PAGES_ONLY) : /./;
const watched = new Set(); // what may find fault with anything at any time
let opened; // by the check that runs: how to close each
let passed = 0, failed = 0;

// check runs one check. It fails if fn throws, or if meanwhile any browser found
// fault with a page. It returns what fn does; undefined if it failed.
export async function check(name, fn, limit = 90_000) {
  if (!only.test(name)) {
    return undefined;
  }
  let timer;
  opened = new Set();
  try {
    const slow = new Promise((_, refuse) => {
      timer = setTimeout(() => refuse(new Error(`not done after ${limit / 1000} s`)), limit);
    });
    const result = await Promise.race([fn(), slow]);
    const faults = [...watched].flatMap((faults) => faults.splice(0));
    if (faults.length > 0) {
      throw new Error(faults.slice(0, 5).join("; "));
    }
    passed++;
    console.log(`ok ${name}${typeof result === "string" ? `: ${result}` : ""}`);
    return result;
  } catch (error) {
    failed++;
    for (const faults of watched) {
      faults.length = 0;
    }
    console.log(`FAIL ${name}: ${String(error.message ?? error).replace(/\s*\n\s*/g, " | ").slice(0, 1500)}`);
    await Promise.all([...opened].map((close) => close().catch(() => {})));
    return undefined;
  } finally {
    clearTimeout(timer);
    opened = undefined;
  }
}

// watch has every check look at a list of faults, and closes what has them where the
// check that has opened it fails. The function returned does both.
export function watch(faults, close) {
  const end = async () => {
    watched.delete(faults);
    mine?.delete(end);
    await close();
  };
  const mine = opened;
  watched.add(faults);
  mine?.add(end);
  return end;
}

// total prints the last line and returns the exit status.
export function total() {
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

// until waits until done returns something, for limit milliseconds, and returns it.
export async function until(what, done, limit = 30_000) {
  for (const end = Date.now() + limit; ; ) {
    const result = await done();
    if (result) {
      return result;
    }
    if (Date.now() > end) {
      throw new Error(`${what}: not within ${limit / 1000} s`);
    }
    await new Promise((wake) => setTimeout(wake, 100));
  }
}
