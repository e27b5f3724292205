// What was asked and answered, held against an OpenAPI document: node fits.mjs DOCUMENT EXCHANGES, with the folder of packages in
// WRIT_NODE_MODULES. Prints a list of what does not fit. An exchange is {method, path, sent, asked, status, headers, body}: path
// without a query, sent the header fields of the request, asked and body JSON (or text, of other media types), headers with names in
// small letters.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// Both come with the packages of the lock file.
const require = createRequire(`${process.env.WRIT_NODE_MODULES}/node_modules/`);
const Ajv = require("ajv/dist/2020.js").default;
const formats = require("ajv-formats").default;

const [document, exchanges] = process.argv.slice(2, 4).map((file) => JSON.parse(readFileSync(file, "utf8")));
const ajv = new Ajv({ strict: false, allErrors: true });
formats(ajv);
ajv.addFormat("int32", { type: "number", validate: (value) => Number.isInteger(value) && Math.abs(value) <= 2 ** 31 });
ajv.addFormat("int64", { type: "number", validate: Number.isInteger });
ajv.addSchema({ $id: "document", ...document });

const part = (name) => encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"));
// A place in the document, behind its references: [value, names that lead there].
function follow(names) {
  let value = document;
  for (const name of names) value = value?.[name];
  return value?.$ref ? follow(value.$ref.slice(2).split("/").map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"))) : [value, names];
}
function wrong(names, value) {
  const judge = ajv.compile({ $ref: `document#/${names.map(part).join("/")}` });
  return judge(value) ? [] : judge.errors.map((error) => `${error.instancePath || "/"} ${error.message} ${JSON.stringify(error.params)}`);
}

function path(of) {
  const found = Object.keys(document.paths).find((name) => new RegExp(`^${name.replaceAll(/{\w+}/g, "[^/]+")}$`).test(of));
  return found && ["paths", found];
}

// Is one of these written for the status? 409, else 4XX, else default.
const response = (operation, status) => [String(status), `${String(status)[0]}XX`, "default"].find((name) => operation.responses[name]);

// Those that HTTP, nginx and caches know of, whatever is asked.
const common = new Set("cache-control connection content-length content-type date server transfer-encoding allow x-accel-buffering".split(" "));

function judge({ method, path: at, sent, asked, status, headers, body }) {
  const place = path(at);
  if (!place) return ["no such path"];
  const names = [...place, method.toLowerCase()];
  const [operation] = follow(names);
  if (!operation) return ["no such method"];
  const found = [];
  if (status < 300) {
    const known = [...(follow(place)[0].parameters ?? []), ...(operation.parameters ?? [])].map((item) => (item.$ref ? follow(item.$ref.slice(2).split("/"))[0] : item));
    for (const name of Object.keys(sent)) if (!known.some((item) => item.in === "header" && item.name.toLowerCase() === name)) found.push(`${name} is sent, and not told of`);
    for (const item of known) if (item.in === "header" && item.required && !(item.name.toLowerCase() in sent)) found.push(`${item.name} was not needed`);
    if (asked !== undefined) found.push(...wrong([...names, "requestBody", "content", "application/json", "schema"], asked).map((text) => `taken, but: ${text}`));
  }
  const which = response(operation, status);
  if (!which) return [...found, `status ${status} is not told of`];
  const [answer, answered] = follow([...names, "responses", which]);
  for (const name of Object.keys(headers)) {
    if (!common.has(name) && !Object.keys(answer.headers ?? {}).some((other) => other.toLowerCase() === name)) found.push(`${status} has a header field ${name}`);
  }
  if (body === undefined) return answer.content ? [...found, `${status} has no body`] : found;
  const media = headers["content-type"]?.split(";")[0];
  if (!answer.content?.[media]) return [...found, `${status} is ${media}`];
  return [...found, ...wrong([...answered, "content", media, "schema"], body).map((text) => `answered: ${text}`)];
}

const found = exchanges.flatMap((exchange) => judge(exchange).map((text) => `${exchange.method} ${exchange.path} ${exchange.status}: ${text}`));
console.log(JSON.stringify(found, null, 1));
