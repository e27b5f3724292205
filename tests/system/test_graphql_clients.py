"""GraphQL clients that know nothing of writ, and the audits of graphql-http, against nginx with writd behind it. Their packages
are those of tests/js/package-lock.json."""

import json
import subprocess

import pytest

import harness
import test_graphql

JS = harness.SOURCE / "tests" / "js"

HTTP = """
  server {{
    listen 127.0.0.1:{port};
    include writ/problems.conf;
    location /graphql {{
      set $writ_role editor;
      include writ/writ.conf;
    }}
  }}
"""


@pytest.fixture(scope="module")
def modules():
    return harness.node_modules()


@pytest.fixture(scope="module")
def url(database):
    harness.create_tables(database, test_graphql.MODEL)
    port = harness.free_port()
    with harness.Site(database, test_graphql.MANIFEST, http=HTTP.format(port=port), files={"schema.graphql": test_graphql.MODEL}):
        yield f"http://127.0.0.1:{port}/graphql"


def node(modules, script, *arguments):
    """Packages are looked for from the folder where node runs."""
    done = subprocess.run(["node", "--input-type=module", "-", *arguments], timeout=120, cwd=modules, text=True,
                          input=(JS / script).read_text(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_audits_of_graphql_http(modules, url):
    assert node(modules, "audits.mjs", url).splitlines() == ["61 audits"]


@pytest.mark.parametrize("client", ["persisted", "apollo3", "apollo4", "urql", "graphql-request"])
def test_a_client(modules, url, database, client):
    database.execute('truncate app_user, "Post", writ.document cascade')
    told = json.loads(node(modules, "clients.mjs", url, client))

    def typed(name, **fields):
        """Clients with a cache ask for the type of everything."""
        return {**fields, **({"__typename": name} if client != "graphql-request" else {})}

    posts = [typed("Post", title=title, author=typed("User", nick="Ann")) for title in ("one", "two")]
    assert told["create"] == {"createUser": typed("User", id=client, nick="Ann", posts=posts)}, told
    assert told["list"] == {"users": [typed("User", id=client, nick="Ann", posts=[typed("Post", title="one")])]}, told
    (again,) = told["again"]["errors"]
    assert again["path"] == ["createUser"] and again["extensions"]["code"] == "UNIQUE_VIOLATION", again
    (wrong,) = told["wrong"]["errors"]
    assert wrong["message"].startswith('Cannot query field "nope"') and wrong["extensions"]["code"] == "BAD_REQUEST", wrong
    # The first of them: a worker that knows a text from others need not be told it.
    assert database.one("select count(*) from writ.document") == (2 if client == "persisted" else 0)
