// One file for the page, one for each worker of its editor; what they need stands beside them, nothing on other hosts.
import * as esbuild from "esbuild";

await esbuild.build({
  entryPoints: {
    graphiql: "main.jsx",
    "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
    "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
    "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
  },
  outdir: "site",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
  loader: { ".ttf": "file" },
  legalComments: "linked",
  logLevel: "warning",
});
