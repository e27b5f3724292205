"""The browser's own EventSource, in headless Chromium: it connects again by itself, and stops when it is told to."""

import os
import signal

import browser
import harness
from test_stream import MANIFEST, STREAMS, State, streamer

# What a page does: the whole state first, then each change put into it.
PAGE = """<!doctype html><title>events</title><script>
  var log = [], state = null, opened = 0, source;
  function follow(path) {
    source = new EventSource(path);
    source.onopen = () => opened++;
    source.addEventListener("state", (e) => { log.push([e.lastEventId, "state"]); state = JSON.parse(e.data); });
    source.addEventListener("change", (e) => {
      log.push([e.lastEventId, "change"]);
      let {event, set} = JSON.parse(e.data);
      Object.assign(state, set);
      state.events.push(event);
    });
    source.addEventListener("end", (e) => { log.push([e.lastEventId, "end"]); });
  }
</script>"""

HTTP = harness.SITE.replace("listen unix:FOLDER/http.sock;", """listen unix:FOLDER/http.sock;
    listen 127.0.0.1:PORT;
    location = /page.html { default_type text/html; return 200 'PAGE'; }""", 1).replace("PAGE'", PAGE.replace("\n", " ") + "'", 1)


def test_event_source(database):
    port = harness.free_port()
    site = harness.Site(database, MANIFEST, http=HTTP.replace("PORT", str(port)), streams=STREAMS)
    with browser.Browser() as chromium, site:
        state = State(database, rules={"events": 1000})
        chromium.go(f"http://127.0.0.1:{port}/page.html")
        chromium.run("follow(arguments[0])", state.path)
        chromium.wait("return log.length == 1")
        state.event("TRANSACTION_CREATED", {"step": "0"})
        chromium.wait("return log.length == 2")

        os.kill(streamer(site), signal.SIGKILL)  # its stream is cut off; a new one goes on behind the last id
        state.many(20)
        chromium.wait("return log.length == 22")
        site.writ.restart()  # for a moment nobody answers at all
        state.many(20)
        chromium.wait("return log.length == 42", timeout=60)
        state.end({"n": 1})
        chromium.wait("return source.readyState == EventSource.CLOSED", timeout=60)  # 204: it does not come again

        log = chromium.run("return log")
        assert log == [["1", "state"], *([str(n), "change"] for n in range(2, 44)), ["43/end", "end"]]
        assert chromium.run("return opened") >= 3
        assert chromium.run("return state") == database.one("select state from writ.state where mutation = %s", [state.id])
