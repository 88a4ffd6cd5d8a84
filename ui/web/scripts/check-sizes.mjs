// Size gate: gzip kilobytes of the JavaScript that the first screen needs, of the largest lazy chunk, and of all.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";

const limits = { first: 150, lazy: 125, all: 450 };
const dist = resolve(import.meta.dirname, "../dist");
if (!existsSync(join(dist, "index.html"))) {
  console.error("no dist/: run `npm run build` first");
  process.exit(1);
}
const html = readFileSync(join(dist, "index.html"), "utf8");
const chunks = readdirSync(join(dist, "assets"))
  .filter((name) => name.endsWith(".js"))
  .map((name) => {
    const bytes = readFileSync(join(dist, "assets", name));
    return {
      name,
      kilobytes: gzipSync(bytes, { level: 9 }).length / 1024,
      first: html.includes(name),
      text: bytes.toString(),
    };
  });
// The first screen is the entry, what index.html preloads, and the page of search with what it imports statically.
let grew = true;
for (const chunk of chunks) if (chunk.name.startsWith("explore-")) chunk.first = true;
while (grew) {
  grew = false;
  for (const chunk of chunks.filter((each) => each.first)) {
    for (const other of chunks) {
      if (
        !other.first &&
        new RegExp(`from\\s*["']\\./${other.name.replaceAll(".", "\\.")}`).test(chunk.text)
      ) {
        other.first = true;
        grew = true;
      }
    }
  }
}
const sum = (list) => list.reduce((total, chunk) => total + chunk.kilobytes, 0);
const found = {
  first: sum(chunks.filter((chunk) => chunk.first)),
  lazy: Math.max(0, ...chunks.filter((chunk) => !chunk.first).map((chunk) => chunk.kilobytes)),
  all: sum(chunks),
};
let failed = false;
for (const [name, limit] of Object.entries(limits)) {
  const over = found[name] > limit;
  failed ||= over;
  console.log(
    `${name.padEnd(6)} ${found[name].toFixed(1).padStart(7)} KB of ${limit}${over ? "  too large" : ""}`,
  );
}
process.exit(failed ? 1 : 0);
