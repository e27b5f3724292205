// GraphQL clients as they come, each against a server that runs: node --input-type=module - URL CLIENT <clients.mjs
// Prints what they made of a mutation with variables, a query, an error of the operation and one of the document, as JSON.
import { strict as assert } from "assert";

const [url, which] = process.argv.slice(2);

const CREATE = `mutation Create($data: UserCreateInput!) { createUser(data: $data) { id nick posts { title author { nick } } } }`;
const LIST = `query List($nick: String) { users(where: { nick: $nick }) { id nick posts(first: 1) { title } } }`;
const WRONG = `{ users { nope } }`;
const data = { id: which, email: `${which}@example.org`, nick: "Ann", posts: { create: [{ title: "one" }, { title: "two" }] } };

// Of a CommonJS package all of it, not only the names that node finds.
const load = async (name) => ((module) => module.default ?? module)(await import(name));

async function apollo(name, more) {
  const { ApolloClient, InMemoryCache, HttpLink, gql } = await load(name);
  const client = new ApolloClient({ link: new HttpLink({ uri: url }), cache: new InMemoryCache(), ...more });
  const failed = async (call) => {
    try {
      await call();
    } catch (error) {
      // Version 3: graphQLErrors, or the answer of a network error; version 4: CombinedGraphQLErrors.
      return { errors: error.errors ?? (error.graphQLErrors?.length ? error.graphQLErrors : error.networkError?.result?.errors) };
    }
    return {};
  };
  return {
    create: async () => (await client.mutate({ mutation: gql(CREATE), variables: { data } })).data,
    list: async () => (await client.query({ query: gql(LIST), variables: { nick: "Ann" } })).data,
    again: () => failed(() => client.mutate({ mutation: gql(CREATE), variables: { data } })),
    wrong: () => failed(() => client.query({ query: gql(WRONG) })),
  };
}

async function urql() {
  const { Client, cacheExchange, fetchExchange } = await import("@urql/core");
  const client = new Client({ url, exchanges: [cacheExchange, fetchExchange] });
  const failed = async (result) => ({ errors: (await result).error?.graphQLErrors });
  return {
    create: async () => (await client.mutation(CREATE, { data })).data,
    list: async () => (await client.query(LIST, { nick: "Ann" })).data,
    again: () => failed(client.mutation(CREATE, { data })),
    wrong: () => failed(client.query(WRONG, {})),
  };
}

async function graphqlRequest() {
  const { GraphQLClient } = await import("graphql-request");
  const client = new GraphQLClient(url);
  const failed = (result) => result.then(() => ({}), (error) => ({ errors: error.response.errors }));
  return {
    create: () => client.request(CREATE, { data }),
    list: () => client.request(LIST, { nick: "Ann" }),
    again: () => failed(client.request(CREATE, { data })),
    wrong: () => failed(client.request(WRONG)),
  };
}

// Documents by hash: sent as such first, with their text when the server does not know it.
async function persisted() {
  const { HttpLink } = await load("apollo3");
  const { createPersistedQueryLink } = await load("apollo3/link/persisted-queries/persisted-queries.cjs");
  const { createHash } = await import("crypto");
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  const link = createPersistedQueryLink({ sha256, useGETForHashedQueries: true }).concat(new HttpLink({ uri: url }));
  return apollo("apollo3", { link });
}

const clients = { apollo3: () => apollo("apollo3"), apollo4: () => apollo("apollo4"), urql, "graphql-request": graphqlRequest, persisted };
const client = await clients[which]();
const told = {};
for (const step of ["create", "list", "again", "wrong"]) told[step] = await client[step]();
assert.ok(told.create);
console.log(JSON.stringify(told));
