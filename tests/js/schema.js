// Reads what writ says of a schema, as SDL and as the answer to an introspection, and fails when graphql-js sees a difference:
//   node schema.js SDL-FILE JSON-FILE
"use strict";
const assert = require("assert");
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");
const load = createRequire(path.join(process.env.WRIT_NODE_MODULES || __dirname, "package.json"));
const g = load("graphql");

const [sdl, json] = process.argv.slice(2).map((name) => fs.readFileSync(name, "utf8"));
const print = (schema) => g.printSchema(g.lexicographicSortSchema(schema));

const read = g.buildSchema(sdl);
g.assertValidSchema(read);
const told = g.buildClientSchema(JSON.parse(json));
g.assertValidSchema(told);
assert.strictEqual(print(told), print(read));
// What it says of itself is what the other says of it, but for words of the specification's own.
const options = { specifiedByUrl: true, directiveIsRepeatable: true, schemaDescription: true, inputValueDeprecation: true, oneOf: true };
const own = (introspection) => {
  const types = introspection.__schema.types.filter((t) => !t.name.startsWith("__") && !g.isSpecifiedScalarType(t));
  return { ...introspection.__schema, types: types.sort((a, b) => (a.name < b.name ? -1 : 1)), directives: null };
};
assert.deepStrictEqual(own(JSON.parse(json)), own(JSON.parse(JSON.stringify(g.introspectionFromSchema(read, options)))));
console.log(print(read).length);
