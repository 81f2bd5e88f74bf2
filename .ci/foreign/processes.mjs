// Starts programs and sees to it that none of them outlives us.
import { execFile, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const running = new Set();

process.on("exit", () => running.forEach(({ child }) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => process.exit(1)); // by default "exit" would not come
}

// start runs a program in the background, with all that it prints in the file
// log. It returns once a line makes heard return something, with that thing;
// it throws if there was none within 30 s.
export async function start(log, heard, program, ...args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const job = { child, lines: [], ended: new Promise((done) => child.once("close", done)) };
  running.add(job);
  void job.ended.then(() => running.delete(job));

  const file = createWriteStream(log);
  const what = await new Promise((found, refuse) => {
    const timer = setTimeout(() => refuse(new Error(`${log}: not ready after 30 s`)), 30_000);
    child.once("error", refuse);
    child.once("close", (code) => refuse(new Error(`${log}: ended with ${code} before it was ready`)));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        job.lines.push(line);
        file.write(line + "\n");
        const what = heard(line);
        if (what !== undefined) {
          clearTimeout(timer);
          found(what);
        }
      });
    }
  });
  return [job, what];
}

// stop asks a program to end and returns its exit status; null if it had to be
// killed, which is done after 20 s.
export async function stop({ child, ended }) {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const code = await ended;
  clearTimeout(timer);
  return code;
}

// run runs a program to its end, with input on its standard input. It throws
// what the program complained of, unless that ended with 0 within a minute.
export async function run(input, program, ...args) {
  const promise = promisify(execFile)(program, args, { timeout: 60_000, killSignal: "SIGKILL" });
  promise.child.stdin.on("error", () => {}); // one that ends without reading says so by its status
  promise.child.stdin.end(input);
  await promise;
}
