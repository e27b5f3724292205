// GraphiQL beside a writ server. It speaks to ../graphql, wherever nginx has put the two, and to nobody else.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import "graphiql/style.css";
import { createRoot } from "react-dom/client";

// The editor asks for its workers by what they are for; bundle.mjs has made a file of each.
const workers = { json: "json.worker.js", graphql: "graphql.worker.js" };
globalThis.MonacoEnvironment = {
  getWorker: (_, label) => new Worker(new URL(workers[label] ?? "editor.worker.js", document.baseURI), { type: "module" }),
};

const welcome = `# Queries and mutations of this server, as whom it takes you for. What tells it who you
# are goes into "Headers" below, for example: { "X-Api-Key": "..." }. Then reload the schema.
`;

// The history would keep header fields with each request, and with them keys, for whoever has the browser next.
const kept = /:(queries|favorites)$/;
const withoutHeaders = (text) => JSON.stringify(JSON.parse(text, (name, value) => (name === "headers" ? undefined : value)));
const storage = {
  get length() {
    return localStorage.length;
  },
  getItem: (key) => localStorage.getItem(key),
  setItem: (key, value) => localStorage.setItem(key, kept.test(key) ? withoutHeaders(value) : value),
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => Object.keys(localStorage).filter((key) => key.startsWith("graphiql:")).forEach((key) => localStorage.removeItem(key)),
};

createRoot(document.getElementById("graphiql")).render(
  <GraphiQL
    fetcher={createGraphiQLFetcher({ url: new URL("../graphql", document.baseURI).href })}
    defaultQuery={welcome}
    storage={storage}
  />,
);
