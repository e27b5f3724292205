"""The page for people: GraphiQL as client/graphiql/build bundles it and nginx-conf/graphiql.conf serves it, in a browser."""

import http.client
import json
import os
import pathlib
import subprocess
import urllib.parse

import pytest

import browser
import harness

MODEL = """
type User @db(name: "app_user") {
  id: Int! @id
  email: String! @unique
  pets: [Pet]
}

type Pet @db(name: "pet") {
  id: Int! @id
  name: String!
  owner: User!
}
"""

MANIFEST = """
specVersion: 1
schema: { file: ./schema.graphql }
models:
  User: { create: { allow: [admin] }, query: { allow: [admin, guest] } }
  Pet: { create: { allow: [admin] }, query: { allow: [admin] } }
"""

HTTP = """
  map $http_x_api_key $key_role {{ default guest; 9999 admin; }}
  server {{
    listen 127.0.0.1:{port};
    include writ/problems.conf;
    location / {{
      set $writ_role $key_role;
      include writ/writ.conf;
    }}
    location /graphiql/ {{
      alias {page}/;
      include writ/graphiql.conf;
    }}
    location = /graphiql {{ return 301 $scheme://$http_host/graphiql/; }}
  }}
"""

MUTATION = """mutation {
  createUser(data: {email: "ann@example.org", pets: {create: [{name: "Rex"}, {name: "Kit"}]}}) {
    email
    pets { name }
  }
}"""


@pytest.fixture(scope="module")
def page():
    """The bundle, as files that nginx may read."""
    made = harness.BUILD.parent / "graphiql"
    done = subprocess.run([harness.SOURCE / "client/graphiql/build", made], capture_output=True, text=True, timeout=300,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    folder = harness.workspace().folder("graphiql")
    subprocess.run(["cp", "-r", made / "site", folder], check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def url(database, page):
    harness.create_tables(database, MODEL)
    port = harness.free_port()
    with harness.Site(database, MANIFEST, http=HTTP.format(port=port, page=page), files={"schema.graphql": MODEL}):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def chromium(url, database):
    database.execute("truncate app_user, pet cascade")
    with browser.Browser() as chromium:
        chromium.ask("POST", f"{chromium.session}/window/rect", {"width": 1400, "height": 1000})
        chromium.go(url + "/graphiql/")
        chromium.wait("return !!document.querySelector('.graphiql-query-editor textarea')", "the editor")
        yield chromium


def paste(chromium, editor, text):
    """Into an editor of the page, in place of what is there, as if it came from the clipboard."""
    chromium.wait(f"return !!document.querySelector('{editor} textarea')", editor)
    element = chromium.ask("POST", f"{chromium.session}/element", {"using": "css selector", "value": f"{editor} textarea"})
    control, backspace = "\ue009", "\ue003"
    chromium.ask("POST", f"{chromium.session}/element/{next(iter(element.values()))}/value", {"text": control + "a" + control + backspace})
    chromium.run("""
        const data = new DataTransfer();
        data.setData('text/plain', arguments[1]);
        const area = document.querySelector(arguments[0] + ' textarea');
        area.focus();
        area.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
    """, editor, text)
    first = text.split()[0]
    chromium.wait(f"return document.querySelector('{editor} .view-lines').textContent.includes({json.dumps(first)})", "the text")


def press(chromium, selector):
    element = chromium.ask("POST", f"{chromium.session}/element", {"using": "css selector", "value": selector})
    chromium.ask("POST", f"{chromium.session}/element/{next(iter(element.values()))}/click", {})


def shown(chromium, what):
    """Waits until the answer on the page has a text; gives all of it."""
    chromium.wait(f"return (document.querySelector('.result-window .view-lines')?.textContent ?? '').replaceAll('\\u00a0', ' ')"
                  f".includes({json.dumps(what)})", what)
    return chromium.run("return document.querySelector('.result-window .view-lines').textContent").replace("\u00a0", " ")


def become_admin(chromium):
    """By a header field, as a person would; the page then asks for the types that an admin sees."""
    press(chromium, "button[data-name='headers']")
    paste(chromium, ".graphiql-editor-tool .graphiql-editor:not(.hidden)", '{"X-Api-Key": "9999"}')
    press(chromium, "button[aria-label*='e-fetch']")


def understood(chromium):
    """The editor has nothing against the document, by the types that it was told of."""
    chromium.wait("return !document.querySelector('.graphiql-query-editor .squiggly-error, .graphiql-query-editor .squiggly-warning')",
                  "no red line")


def picture(chromium, name):
    """For people who want to look: WRIT_PICTURES=DIR."""
    if os.environ.get("WRIT_PICTURES"):
        (pathlib.Path(os.environ["WRIT_PICTURES"]) / f"graphiql-{name}.png").write_bytes(chromium.picture())


def complaints(chromium):
    return [entry["message"] for entry in chromium.entries("browser") if entry["level"] in ("SEVERE", "WARNING")]


def hosts(chromium):
    """Of all that the page and its workers have asked for."""
    found = set()
    for entry in chromium.entries("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            where = urllib.parse.urlsplit(message["params"].get("url") or message["params"]["request"]["url"])
            if where.scheme in ("http", "https", "ws", "wss"):
                found.add(where.netloc)
    return found


def test_a_nested_mutation(chromium, url, database):
    become_admin(chromium)
    paste(chromium, ".graphiql-query-editor", MUTATION)
    press(chromium, ".graphiql-execute-button")
    text = shown(chromium, "Kit")
    assert '"email": "ann@example.org"' in text and "errors" not in text
    assert database.one("select string_agg(name, ',' order by id) from pet") == "Rex,Kit"
    understood(chromium)
    picture(chromium, "mutation")
    assert complaints(chromium) == []
    assert hosts(chromium) == {urllib.parse.urlsplit(url).netloc}


def test_variables_and_the_types_of_fields(chromium, url):
    become_admin(chromium)
    paste(chromium, ".graphiql-query-editor", "mutation M($data: UserCreateInput!) {\n createUser(data: $data) { email pets { name } }\n}")
    press(chromium, "button[data-name='variables']")
    paste(chromium, ".graphiql-editor-tool .graphiql-editor:not(.hidden)", '{"data": {"email": "ü@example.org", "pets": {"create": {"name": "😀"}}}}')
    press(chromium, ".graphiql-execute-button")
    assert '"email": "ü@example.org"' in shown(chromium, "😀")
    understood(chromium)
    press(chromium, "button[aria-label*='ocumentation']")
    for name, then in (("Mutation", "createUser"), ("UserCreateInput", "PetCreateManyWithoutOwnerInput")):
        find = f"[...document.querySelectorAll('.graphiql-plugin a')].find(link => link.textContent === '{name}')"
        chromium.wait(f"return !!{find}", name)
        chromium.run(f"{find}.click()")
        chromium.wait(f"return document.querySelector('.graphiql-plugin').textContent.includes('{then}')", then)
    picture(chromium, "variables")
    assert "9999" not in chromium.run("return JSON.stringify(localStorage)")  # keys do not stay in the browser
    assert complaints(chromium) == [] and hosts(chromium) == {urllib.parse.urlsplit(url).netloc}


def test_an_error(chromium, url, database):
    database.execute("insert into app_user (email) values ('ann@example.org')")
    become_admin(chromium)
    paste(chromium, ".graphiql-query-editor", MUTATION)
    press(chromium, ".graphiql-execute-button")
    text = shown(chromium, "UNIQUE_VIOLATION")
    assert "A unique constraint would be violated on User" in text and '"data": null' in text
    assert database.one("select count(*) from pet") == 0
    picture(chromium, "error")
    assert complaints(chromium) == []
    assert hosts(chromium) == {urllib.parse.urlsplit(url).netloc}


def test_types_are_those_of_the_role(chromium):
    """A guest has no mutations: the editor says so, and so does the server."""
    paste(chromium, ".graphiql-query-editor", "query {\n users { email pets { name } }\n}")
    press(chromium, ".graphiql-execute-button")
    assert '"users": []' in shown(chromium, '"data"')
    understood(chromium)
    paste(chromium, ".graphiql-query-editor", MUTATION)
    press(chromium, ".graphiql-execute-button")
    assert '"data"' not in shown(chromium, '"errors"')
    picture(chromium, "guest")
    press(chromium, "button[aria-label*='ocumentation']")
    chromium.wait("return (document.querySelector('.graphiql-plugin')?.textContent ?? '').includes('Query')", "the types")
    assert "Mutation" not in chromium.run("return document.querySelector('.graphiql-plugin').textContent")
    become_admin(chromium)
    chromium.wait("return document.querySelector('.graphiql-plugin').textContent.includes('Mutation')", "an admin's types")


def test_the_browser_holds_the_page_to_its_own_host(chromium, url):
    """What a page would do that somebody has put something into."""
    refused = chromium.run("""
        const list = window.refused = [];
        document.addEventListener('securitypolicyviolation', event => list.push(event.effectiveDirective));
        fetch('https://example.org/').catch(() => {});
        new Image().src = 'https://example.org/image.png';
        const script = document.createElement('script');
        script.textContent = 'window.broken = true';
        document.head.append(script);
        return window.broken === undefined;
    """)
    assert refused
    chromium.wait("return ['connect-src', 'img-src', 'script-src-elem'].every(name => window.refused.includes(name))", "three refusals")


def test_files(url):
    host = urllib.parse.urlsplit(url).netloc
    client = http.client.HTTPConnection(host, timeout=10)
    client.request("GET", "/graphiql")
    answer = client.getresponse()
    assert answer.status == 301 and answer.read() and answer.headers["Location"] == url + "/graphiql/"
    client.request("GET", "/graphiql/", headers={"Accept-Encoding": "gzip"})
    answer = client.getresponse()
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/html" and b"https://" not in answer.read()
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["connect-src"] == policy["worker-src"] == "'self'"
    client.request("GET", "/graphiql/graphiql.js", headers={"Accept-Encoding": "gzip"})
    answer = client.getresponse()
    assert answer.headers["Content-Type"] == "text/javascript" and answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and len(answer.read()) < 2_000_000


def test_it_is_bundled_once(page):
    made = harness.BUILD.parent / "graphiql"
    before = (made / "site" / "graphiql.js").stat().st_mtime_ns
    subprocess.run([harness.SOURCE / "client/graphiql/build", made], check=True, timeout=60, stdin=subprocess.DEVNULL)
    assert (made / "site" / "graphiql.js").stat().st_mtime_ns == before
