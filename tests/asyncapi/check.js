// What AsyncAPI's own parser says of documents: a JSON array of diagnostics on stdout for each.
// node check.js BUNDLE DOCUMENT...; the bundle is the parser's build in one file, made for browsers.
globalThis.self = globalThis;
const { readFileSync } = require("node:fs");

const [bundle, ...paths] = process.argv.slice(2);
const Parser = require(bundle);
const read = (uri) => readFileSync(decodeURIComponent(uri.path()), "utf8");
const resolver = { resolvers: [{ schema: "file", order: 1, canRead: true, read }] };
const parser = new Parser({ __unstable: { resolver } });

async function diagnostics(source) {
  const { document, diagnostics } = await parser.parse(readFileSync(source, "utf8"), { source });
  if (!document && !diagnostics.length) throw new Error("neither a document nor a diagnostic");
  return diagnostics.map(({ severity, code, path, message }) => ({
    severity, code, path: path.join("."), message,
  }));
}

Promise.all(paths.map(diagnostics)).then((found) => console.log(JSON.stringify(found)));
