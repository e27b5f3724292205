// The same nested create, written for Node: by hand with pg, or with Prisma ORM. PROCESSES processes share a socket.
import cluster from "node:cluster";
import { randomBytes } from "node:crypto";
import http from "node:http";

const { WITH, SOCKET, PGHOST, PGDATABASE, PGUSER, PROCESSES, CONNECTIONS } = process.env;

const READ = `select row_to_json(t) from (select u.id, u.name,
  (select coalesce(json_agg(a), '[]') from (select id, title from "Article" where "user" = u.id order by id) a) as articles,
  (select coalesce(json_agg(g), '[]') from (select g.id, g.name from "Tag" g join "_UserTags" l on l."A" = g.id
    where l."B" = u.id order by g.id) g) as tags
  from "User" u where u.id = $1) t`;

const key = () => "c" + randomBytes(12).toString("hex");

async function byHand() {
  const { default: pg } = await import("pg");
  const pool = new pg.Pool({ host: PGHOST, database: PGDATABASE, user: PGUSER, max: Number(CONNECTIONS) });
  return async ({ data }) => {
    const client = await pool.connect();
    const run = (name, text, values) => client.query({ name, text, values });
    try {
      const id = key();
      await client.query("begin");
      await run("user", 'insert into "User" (id, name, age) values ($1, $2, $3)', [id, data.name, data.age]);
      for (const article of data.articles.create)
        await run("article", 'insert into "Article" (id, title, "user") values ($1, $2, $3)', [key(), article.title, id]);
      for (const { name } of [data.tags.connect].flat()) {
        const { rows: [tag] } = await run("tag", 'select id from "Tag" where name = $1', [name]);
        if (!tag) throw new Error("no such tag");
        await run("link", 'insert into "_UserTags" ("A", "B") values ($1, $2)', [tag.id, id]);
      }
      const { rows: [row] } = await run("read", READ, [id]);
      await client.query("commit");
      return row.row_to_json;
    } catch (error) {
      await client.query("rollback");
      throw error;
    } finally {
      client.release();
    }
  };
}

async function byPrisma() {
  const { PrismaClient } = await import("@prisma/client");
  const { PrismaPg } = await import("@prisma/adapter-pg");
  const adapter = new PrismaPg({ host: PGHOST, database: PGDATABASE, user: PGUSER, max: Number(CONNECTIONS) });
  const prisma = new PrismaClient({ adapter });
  const select = { id: true, name: true, articles: { select: { id: true, title: true } }, tags: { select: { id: true, name: true } } };
  return ({ data }) => prisma.user.create({ data, select });
}

async function serve() {
  const create = await (WITH === "prisma" ? byPrisma() : byHand());
  http.createServer(async (request, response) => {
    try {
      const parts = [];
      for await (const part of request) parts.push(part);
      const result = await create(JSON.parse(Buffer.concat(parts)));
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ result }));
    } catch (error) {
      console.error(error);
      response.writeHead(500).end();
    }
  }).listen(SOCKET);
}

if (cluster.isPrimary) {
  for (let i = 0; i < Number(PROCESSES); i++) cluster.fork();
  for (const signal of ["SIGTERM", "SIGINT"])
    process.on(signal, () => {
      for (const worker of Object.values(cluster.workers)) worker.kill("SIGKILL");
      process.exit(0);
    });
} else {
  serve();
}
