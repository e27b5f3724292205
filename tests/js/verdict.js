// What graphql-js says of the documents that tests/graphql/verdict judges, in the same form:
//   node verdict.js SCHEMA FILE...
// The scalars of data models are as docs/documents.md has them.
"use strict";
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");
// The packages are installed in the build folder, beside a copy of package.json.
const load = createRequire(path.join(process.env.WRIT_NODE_MODULES || __dirname, "package.json"));
const g = load("graphql");
const { getArgumentValues, getVariableValues } = load("graphql/execution/values.js");

// ---- scalars ----

const wrong = (type, value) => { throw new Error(`${type} cannot represent ${JSON.stringify(value)}`); };

const whole = (text) => /^-?\d+$/.test(text) && BigInt(text) >= -(2n ** 63n) && BigInt(text) < 2n ** 63n;

function isDateTime(text) {
  const [date, time, offset] = [/(\d{4})(?:-(\d\d)(?:-(\d\d))?)?/, /[Tt ](\d\d)(?::(\d\d)(?::(\d\d))?)?(\.\d+)?/,
    /[Zz]|[+-](\d\d)(?::?(\d\d))?/].map((part) => part.source);
  const m = new RegExp(`^${date}(?:${time})?(?:${offset})?$`).exec(text);
  if (!m) return false;
  const [year, month, day, hour, minute, second] = m.slice(1, 7).map((x) => (x === undefined ? undefined : Number(x)));
  const [zone, zoneMinutes] = m.slice(8, 10).map((x) => Number(x || 0));
  const days = new Date(Date.UTC(2000, month || 1, 0)).getUTCDate();
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  if (year < 1 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return false;
  return day === undefined ? zone <= 14 && zoneMinutes <= 59
    : day <= (month === 2 && !leap ? 28 : days) && zone <= 14 && zoneMinutes <= 59;
}

function json(text, type) {
  let value = text;
  if (typeof text === "string") {
    try { value = JSON.parse(text); } catch { wrong(type, text); }
  }
  return value !== null && typeof value === "object" ? value : wrong(type, text);
}

// Of each scalar: values from variables, and the kinds of literals.
const { INT, FLOAT, STRING } = g.Kind;
const isText = (v, form) => typeof v === "string" && form.test(v);
const scalars = {
  BigInt: [(v) => (Number.isInteger(v) || (typeof v === "string" && whole(v)) ? v : wrong("BigInt", v)), [INT, STRING]],
  DateTime: [(v) => (typeof v === "string" && isDateTime(v) ? v : wrong("DateTime", v)), [STRING]],
  Decimal: [(v) => (typeof v === "number" || isText(v, /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/) ? v : wrong("Decimal", v)),
    [INT, FLOAT, STRING]],
  Json: [(v) => json(v, "Json"), [STRING]],
  UUID: [(v) => (isText(v, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i) ? v : wrong("UUID", v)), [STRING]],
};

function teach(schema) {
  for (const [name, [parse, kinds]] of Object.entries(scalars)) {
    const type = schema.getType(name);
    if (!type) continue;
    type.parseValue = parse;
    type.parseLiteral = (node) => {
      if (!kinds.includes(node.kind)) wrong(name, node.value);
      if (name === "BigInt" && !whole(node.value)) wrong(name, node.value); // a Number would have lost digits
      return parse(node.kind === STRING ? node.value : Number(node.value));
    };
  }
}

// ---- rules ----

// graphql-js asks for the root type only when it executes; its own word for it then.
function OperationRootType(context) {
  return {
    OperationDefinition(node) {
      if (!context.getSchema().getRootType(node.operation))
        context.reportError(new g.GraphQLError(`Schema is not configured for ${node.operation}s.`, { nodes: node }));
    },
  };
}

// Each rule alone, so that an error has its name.
const rules = [...g.specifiedRules, OperationRootType];

function errorsOf(schema, document) {
  const found = [];
  for (const rule of rules)
    for (const e of g.validate(schema, document, [rule]))
      found.push([rule.name.replace(/Rule$/, ""), (e.locations || []).map((l) => [l.line, l.column])]);
  return found;
}

// ---- cases ----

const remark = (text, word) => (new RegExp(`^# ${word} (.*)$`, "m").exec(text) || [])[1];

function argumentsOf(schema, operation, variables) {
  const root = schema.getRootType(operation.operation);
  const found = {};
  for (const node of operation.selectionSet.selections) {
    const field = node.kind === g.Kind.FIELD && root.getFields()[node.name.value];
    if (field) found[(node.alias || node.name).value] = getArgumentValues(field, node, variables);
  }
  return found;
}

function values(schema, document, given) {
  const operation = document.definitions.find((d) => d.kind === g.Kind.OPERATION_DEFINITION);
  const made = getVariableValues(schema, operation.variableDefinitions || [], given, { maxErrors: 1000 });
  if (made.errors) return { refused: made.errors.length };
  try {
    return { variables: made.coerced, arguments: argumentsOf(schema, operation, made.coerced) };
  } catch {
    return { variables: made.coerced, arguments: null };
  }
}

function judge(schema, text) {
  let document;
  try {
    document = g.parse(text);
  } catch (e) {
    return { errors: [["Syntax", e.locations.map((l) => [l.line, l.column])]] };
  }
  const errors = errorsOf(schema, document);
  const given = remark(text, "variables");
  return given && !errors.length ? { errors, ...values(schema, document, JSON.parse(given)) } : { errors };
}

const [schemaFile, ...files] = process.argv.slice(2);
const schema = g.buildSchema(fs.readFileSync(schemaFile, "utf8"));
teach(schema);
for (const file of files)
  for (const part of fs.readFileSync(file, "utf8").split(/^### /m).slice(1)) {
    const end = part.indexOf("\n");
    console.log(JSON.stringify({ case: part.slice(0, end), ...judge(schema, part.slice(end + 1)) }));
  }
