// Imports only go down: pages > explain > timeline, api > model > base; widgets see base alone.
// A page sees no other page except through that page's url.ts, which says how to link to it.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const source = resolve(import.meta.dirname, "../src");
const mayImport = {
  base: ["base"],
  theme: ["theme"],
  model: ["model", "base"],
  widgets: ["widgets", "base"],
  api: ["api", "model", "base"],
  timeline: ["timeline", "model", "base"],
  explain: ["explain", "timeline", "api", "model", "widgets", "base"],
  pages: ["pages", "explain", "timeline", "api", "model", "widgets", "base"],
  shell: ["shell", "pages", "api", "model", "widgets", "base"],
  "": ["", "shell", "pages", "explain", "timeline", "api", "model", "widgets", "base", "theme"],
};
const packages = {
  base: ["react", "@tanstack/react-router"],
  model: ["react"],
  api: ["valibot", "@tanstack/react-query", "@uwdata/flechette"],
};

function files(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : /\.tsx?$/.test(name) ? [path] : [];
  });
}
const room = (path) => (path.includes("/") ? path.split("/")[0] : "");
const faults = [];

for (const file of files(source)) {
  const from = relative(source, file);
  const text = readFileSync(file, "utf8");
  if (!(room(from) in mayImport)) faults.push(`${from}: the room ${room(from)} is unknown`);
  if (room(from) !== "api" && /\bfetch\(/.test(text) && !from.includes(".test."))
    faults.push(`${from}: only api/ fetches`);
  for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
    if (!target.startsWith(".")) {
      const allowed = packages[room(from)];
      if (
        allowed &&
        !from.includes(".test.") &&
        !allowed.some((name) => target === name || target.startsWith(`${name}/`))
      )
        faults.push(`${from}: ${room(from)} may not import the package ${target}`);
      continue;
    }
    const to = relative(source, resolve(dirname(file), target));
    if (!mayImport[room(from)]?.includes(room(to))) faults.push(`${from} imports ${to}`);
    else if (room(from) === "pages" && room(to) === "pages") {
      const [, mine] = from.split("/");
      const [, theirs, file] = to.split("/");
      if (mine !== theirs && !/^url/.test(file ?? "")) faults.push(`${from} imports another page: ${to}`);
    }
  }
}
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
console.log("imports only go down");
