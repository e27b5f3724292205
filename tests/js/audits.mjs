// The audits of graphql-http for servers, against one that runs: node --input-type=module - URL <audits.mjs
// One line for each that is not fine, then the number of all.
import { serverAudits } from "graphql-http";

const audits = serverAudits({ url: process.argv[2], fetchFn: fetch });
for (const audit of audits) {
  const result = await audit.fn();
  if (result.status !== "ok") console.log(`${result.status} ${audit.id} ${audit.name}: ${result.reason ?? ""}`);
}
console.log(`${audits.length} audits`);
