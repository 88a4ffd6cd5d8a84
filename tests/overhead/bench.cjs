// What tracing costs a small service: its CPU time and latency with OpenTelemetry's SDK for Node exporting to Spanhouse, against
// the same service without the SDK.
// bench.cjs SPANHOUSE_BINARY [ROUNDS] [SECONDS]
//
// First the service asks the server how much to sample, under load, until the answer stays. Then rounds of all variants, in
// turns, each with a process of its own. CPU time is the process's own (user and system), so that others on the machine count
// little; medians of rounds, and of the differences to the round's plain service.
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");

const [binary, rounds = "4", seconds = "10"] = process.argv.slice(2);
const RATE = 400;
const SPANS_PER_REQUEST = 10;
// Until the code is compiled: what the service runs seldom is compiled late.
const WARM_SECONDS = 6;

const children = [];
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));
const sleep = (millis) => new Promise((done) => setTimeout(done, millis));

function start(command, args, env = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return child;
}

async function line(child, wanted) {
  let text = "";
  for await (const chunk of child.stdout) {
    text += chunk;
    const found = text.match(wanted);
    if (found) return found;
  }
  throw new Error(`it ended: ${text}`);
}

// Connections of a service that has ended must not be taken for another's.
let agent;
function connect() {
  agent?.destroy();
  agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
}

function ask(port, url) {
  return new Promise((done, fail) => {
    http
      .get({ host: "127.0.0.1", port, path: url, agent }, (response) => {
        let body = "";
        response.on("data", (part) => (body += part));
        response.on("end", () => done(body));
      })
      .on("error", fail);
  });
}

// Requests at a fixed rate, whatever the answers take; gives their latencies.
async function load(port, seconds) {
  const begin = performance.now();
  const latencies = [];
  const pending = [];
  for (let sent = 0; sent < RATE * seconds; sent += 1) {
    const due = begin + (sent * 1000) / RATE;
    if (due > performance.now()) await sleep(due - performance.now());
    pending.push(ask(port, "/orders").then(() => latencies.push(performance.now() - due)));
  }
  await Promise.all(pending);
  return latencies.sort((one, other) => one - other);
}

async function measure(variant, urls) {
  const child = start(process.execPath, [path.join(__dirname, "service.cjs"), variant, ...urls]);
  const port = Number((await line(child, /^(\d+)\n/))[1]);
  connect();
  await load(port, WARM_SECONDS);
  const usage = async () => JSON.parse(await ask(port, "/usage")).cpu_micros;
  const before = await usage();
  const latencies = await load(port, Number(seconds));
  const cpu = (await usage()) - before;
  child.kill("SIGKILL");
  return { cpu: cpu / latencies.length, p99: latencies[Math.floor(latencies.length * 0.99)] };
}

const median = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 2)];

async function told(sampling) {
  const answer = await fetch(`${sampling}/sampling?service=overhead`);
  const own = (await answer.json()).operationSampling.perOperationStrategies.find((one) => one.operation === "GET /orders");
  return own ? own.probabilisticSampling.samplingRate : 1;
}

async function main() {
  const data = fs.mkdtempSync(path.join(os.tmpdir(), "spanhouse-overhead-"));
  const off = ["--otlp-grpc", "off", "--sampling-grpc", "off"];
  const free = ["--otlp-http", "127.0.0.1:0", "--http", "127.0.0.1:0", "--sampling-http", "127.0.0.1:0"];
  const server = start(binary, ["serve", "--data", data, ...off, ...free], {
    SPANHOUSE_SAMPLING_BUDGET: "100 spans/s",
    SPANHOUSE_HEAD_SAMPLING_POLL_INTERVAL: "1s",
    SPANHOUSE_LOG: "error",
  });
  const found = await line(server, /otlp-http listening on (\S+)\n[^]*sampling-http listening on (\S+)\n/);
  const urls = [`http://${found[1]}`, `http://${found[2]}`];

  const service = start(process.execPath, [path.join(__dirname, "service.cjs"), "told", ...urls]);
  const port = Number((await line(service, /^(\d+)\n/))[1]);
  connect();
  let share = 1;
  for (let tries = 0; tries < 10; tries += 1) {
    await load(port, 4);
    const next = await told(urls[1]);
    if (next < 1 && next === share) break;
    share = next;
  }
  service.kill("SIGKILL");
  console.log(`${RATE} requests/s of ${SPANS_PER_REQUEST} spans; the server says to sample ${share.toFixed(3)} of them`);

  const variants = ["off", String(share), "1"];
  const seen = { off: [], [String(share)]: [], 1: [] };
  for (let round = 0; round < Number(rounds); round += 1) {
    for (let at = 0; at < variants.length; at += 1) {
      const variant = variants[(at + round) % variants.length];
      seen[variant].push(await measure(variant, urls));
    }
  }
  const plain = median(seen.off.map((one) => one.cpu));
  console.log("sampled  CPU us a request  more than plain (min..max)  us a span  of the service  of a core  p99 ms");
  for (const variant of variants) {
    const differences = seen[variant].map((one, round) => one.cpu - seen.off[round].cpu);
    const more = median([...differences]);
    const cells = [
      (variant === "off" ? "no SDK" : Number(variant).toFixed(3)).padEnd(9),
      median(seen[variant].map((one) => one.cpu)).toFixed(0).padEnd(18),
      `${more.toFixed(0)} (${Math.min(...differences).toFixed(0)}..${Math.max(...differences).toFixed(0)})`.padEnd(28),
      (more / SPANS_PER_REQUEST).toFixed(1).padEnd(11),
      `${((more / plain) * 100).toFixed(1)} %`.padEnd(16),
      `${((more * RATE) / 1e4).toFixed(1)} %`.padEnd(11),
      median(seen[variant].map((one) => one.p99)).toFixed(1),
    ];
    console.log(cells.join(""));
  }
  server.kill("SIGKILL");
  fs.rmSync(data, { recursive: true, force: true });
  process.exit(0);
}

main();
