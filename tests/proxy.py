#!/usr/bin/env python3
"""A byte proxy between writd and PostgreSQL, on unix sockets, for tests of round trips and of bad networks.

    proxy.py --listen FOLDER/.s.PGSQL.5432 --connect OTHER/.s.PGSQL.5432 --control FOLDER/control [--delay-ms N]

It knows nothing of PostgreSQL's protocol. It counts *round trips*: a round trip begins when bytes come from the client
after the client was given bytes of the server (or at the connection's beginning). Bytes that the client sends without
having been given an answer belong to the round trip that is under way. With a delay of some milliseconds that is exact
also for large flights, whose first answers the server gives while the client is still sending.

Orders come on the control socket, one JSON object a line, and are answered with one:

    {"do": "stats"}       {"trips": N, "connections": N, "open": N, "to_server": bytes, "to_client": bytes, "fired": N}
    {"do": "reset"}       the counters to zero
    {"do": "delay", "ms": N}     from now on each answer of the server takes N ms longer
    {"do": "stall"}       nothing passes in either direction, until
    {"do": "resume"}
    {"do": "cut"}         closes all connections now
    {"do": "refuse", "on": true}    new connections are closed at once
    {"do": "rule", ...}   a trap for the next matching bytes, on whatever connection they pass; it fires once:
         "way": "to_server" or "to_client"
         "match": "COMMIT"     text to wait for, or
         "bytes": N            so many bytes that way from now on, on one connection (0: the very next byte)
         "action": "cut" | "stall" | "cut_client" | "cut_server"
         "pass": true          the bytes read together with the match go through first (with "bytes": exactly N always)
    {"do": "clear"}       forgets all rules that have not fired

A text split between two reads is found too, but what came with the earlier read has passed already.
"""

import argparse
import array
import asyncio
import fcntl
import json
import pathlib
import signal
import socket
import struct
import termios
import time

CHUNK = 1 << 16
LOOK_S = 0.001  # between looks at a client that is awake
AWAKE_S = 10  # it is no client of this kind, then


class Rule:
    def __init__(self, order):
        self.way = order["way"]
        self.match = order["match"].encode() if "match" in order else None
        self.bytes = order.get("bytes")
        self.action = order["action"]
        self.passes = order.get("pass", False)
        self.seen = {}  # connection -> bytes so far that way
        assert self.way in ("to_server", "to_client"), "way"
        assert self.action in ("cut", "stall", "cut_client", "cut_server"), "action"
        assert (self.match is None) != (self.bytes is None), "one of match and bytes"

    def split(self, connection, data, tail):
        """How many bytes of data still pass when the rule fires on them; None: it does not fire."""
        if self.match is not None:
            if self.match not in tail[max(0, len(tail) + 1 - len(self.match)):] + data:
                return None
            return len(data) if self.passes else 0
        before = self.seen.get(connection, 0)
        self.seen[connection] = before + len(data)
        return self.bytes - before if before + len(data) > self.bytes else None


class Connection:
    def __init__(self, proxy, client, server):
        self.proxy = proxy
        self.ends = {"client": client, "server": server}  # (reader, writer)
        self.given = True  # the client has been given bytes since it last sent some, or has never sent any
        self.socket = client[1].get_extra_info("socket")
        credentials = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.stat = pathlib.Path(f"/proc/{struct.unpack('3i', credentials)[0]}/stat")

    def is_waiting(self):
        """Does the client sleep, and was all read that it has sent? What it sends next is because of what it is given."""
        unread = array.array("i", [0])
        fcntl.ioctl(self.socket.fileno(), termios.FIONREAD, unread)
        return not unread[0] and self.stat.read_text().rpartition(")")[2].split()[0] == "S"

    async def waiting(self):
        end = time.monotonic() + AWAKE_S
        while time.monotonic() < end:
            for _ in range(3):
                await asyncio.sleep(0)  # what has been read is counted first
            try:
                if self.is_waiting():
                    return
            except (OSError, ValueError):  # it is gone
                return
            await asyncio.sleep(LOOK_S)

    def close(self, *which):
        for end in which or ("client", "server"):
            self.ends[end][1].close()

    async def pump(self, way):
        """Carries bytes one way. A queue between reading and writing keeps a delay from adding up."""
        source, target = ("client", "server") if way == "to_server" else ("server", "client")
        queue = asyncio.Queue()
        writing = asyncio.create_task(self.deliver(way, target, queue))
        tail = b""
        try:
            while data := await self.ends[source][0].read(CHUNK):
                if way == "to_server" and self.given:
                    self.given = False
                    self.proxy.trips += 1
                keep, rule = len(data), None
                for candidate in [rule for rule in self.proxy.rules if rule.way == way]:
                    split = candidate.split(self, data, tail)
                    if split is not None:
                        keep, rule = split, candidate
                        self.proxy.rules.remove(candidate)
                        break
                delay = self.proxy.delay_s if way == "to_client" else 0
                queue.put_nowait((time.monotonic() + delay, data[:keep], rule))
                if rule and rule.action == "stall":
                    queue.put_nowait((0, data[keep:], None))
                tail = data[-64:]
        except ConnectionError:
            pass
        finally:
            queue.put_nowait((0, None, None))
            await writing

    async def deliver(self, way, target, queue):
        writer = self.ends[target][1]
        try:
            while True:
                due, data, rule = await queue.get()
                if data is None:
                    break
                if (wait := due - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                if way == "to_client" and self.proxy.delay_s and not self.given:
                    await self.waiting()
                await self.proxy.flowing.wait()
                if data:
                    writer.write(data)
                    await writer.drain()
                    self.proxy.bytes[way] += len(data)
                    if way == "to_client":
                        self.given = True
                if rule:
                    self.proxy.fired += 1
                    if rule.action == "stall":
                        self.proxy.flowing.clear()
                    else:
                        self.close(*{"cut_client": ["client"], "cut_server": ["server"]}.get(rule.action, []))
        except ConnectionError:
            pass
        finally:
            writer.close()


class Proxy:
    def __init__(self, target, delay_ms):
        self.target = target
        self.delay_s = delay_ms / 1000
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.refusing = False
        self.rules = []
        self.open = set()
        self.clear_counters()

    def clear_counters(self):
        self.trips = self.connections = self.fired = 0
        self.bytes = {"to_server": 0, "to_client": 0}

    async def accept(self, reader, writer):
        if self.refusing:
            writer.close()
            return
        try:
            server = await asyncio.open_unix_connection(self.target, limit=CHUNK)
        except OSError:
            writer.close()  # as a server that is not there looks from far away
            return
        self.connections += 1
        connection = Connection(self, (reader, writer), server)
        self.open.add(connection)
        await asyncio.gather(connection.pump("to_server"), connection.pump("to_client"))
        self.open.discard(connection)

    async def control(self, reader, writer):
        while line := await reader.readline():
            try:
                answer = self.obey(json.loads(line))
            except Exception as error:  # the test made a mistake: it shall hear of it
                answer = {"error": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    def obey(self, order):
        do = order["do"]
        if do == "reset":
            self.clear_counters()
        elif do == "delay":
            self.delay_s = order["ms"] / 1000
        elif do == "stall":
            self.flowing.clear()
        elif do == "resume":
            self.flowing.set()
        elif do == "cut":
            for connection in list(self.open):
                connection.close()
        elif do == "refuse":
            self.refusing = order["on"]
        elif do == "rule":
            self.rules.append(Rule(order))
        elif do == "clear":
            self.rules.clear()
        elif do != "stats":
            raise ValueError(do)
        return {"trips": self.trips, "connections": self.connections, "open": len(self.open), "fired": self.fired,
                **self.bytes}


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", required=True)
    parser.add_argument("--connect", required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--delay-ms", type=float, default=0)
    options = parser.parse_args()
    proxy = Proxy(options.connect, options.delay_ms)
    await asyncio.start_unix_server(proxy.accept, options.listen, limit=CHUNK, backlog=1024)
    await asyncio.start_unix_server(proxy.control, options.control)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
