"""The stranger of the matrix: one ledger behind plain HTTP and behind MCP over HTTP (the path /mcp).

The first call of an order and verb errs as `way` says, `WHEN ANSWER`: WHEN is `before` (no effect), `after` (the
effect is in place) or `lands` (the effect comes a little after the answer); later calls are served as they should be.
Arguments: the ledger. Standard library only.
"""
import gzip
import json
import sys
import threading
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ledger import Ledger

ledger = Ledger(sys.argv[1])
LANDS = 0.3
GOOD = json.dumps({"id": "c-1", "status": "succeeded"}).encode()
never = threading.Event()
# More than an answer may have.
LARGE = ["a row of a table"] * 8_000


class Lost(Exception):
    """No answer: the connection ends."""


def pay(order, key, once=False):
    if key in ledger.barred:
        raise Lost
    ledger.effect(order, key, once)


def act(verb, arguments, key):
    """Makes the effect of a verb, as `way` says. Returns how to err; none for an honest answer."""
    order, way = arguments["order"], arguments.get("way") or ""
    do = {
        "pay": lambda: pay(order, key, arguments.get("once", False)),
        "look": lambda: None,
        "void": lambda: ledger.undo(order, key, arguments.get("of", "")),
    }[verb]
    when, _, how = way.partition(" ")
    with ledger.lock:
        # Only the way of the verb that is meant: the other gets none.
        if not way or ledger.delivery(order, verb) > 1:
            do()
            return None
        if when == "after":
            do()
        elif when == "lands":
            ledger.lands(order, verb + key, LANDS, do)
        elif how in ("202", "queued"):
            ledger.lands(order, verb + key, LANDS, None)
        return how


def state(verb, key, done):
    return {"state": "done" if done else "running" if ledger.under_way(verb + key) else "absent"}


def ask(verb, arguments):
    with ledger.lock:
        if verb == "find":
            return state("pay", arguments["key"], ledger.has(arguments["key"]))
        return state("void", arguments["key"], ledger.was_undone(arguments["of"]))


class Stranger(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        try:
            if self.path in ("/mcp", "/session"):
                return self.mcp(body)
            verb = self.path.strip("/")
            if verb in ("find", "voided"):
                return self.send(200, ask(verb, body))
            if verb == "refuse":
                return self.send(422, {"code": "declined"})
            how = act(verb, body, self.headers["idempotency-key"])
            return self.send(200, GOOD) if how is None else self.err(how)
        except Lost:
            self.close_connection = True

    def do_GET(self):
        """What another server fetches: a verb, and its arguments in the query."""
        url = urllib.parse.urlsplit(self.path)
        arguments = dict(urllib.parse.parse_qsl(url.query))
        if "order" not in arguments:
            return self.do_DELETE()
        try:
            how = act(url.path.strip("/"), arguments, arguments["key"])
            return self.send(200, GOOD) if how is None else self.err(how)
        except Lost:
            self.close_connection = True

    def do_DELETE(self):
        self.send(405, {"code": "post_only"})

    def send(self, status, body, headers=()):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in [("content-type", "application/json"), ("content-length", str(len(body))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def raw(self, head, body):
        self.wfile.write((head + "\r\nContent-Type: application/json\r\n\r\n").encode() + body)
        self.close_connection = True

    def err(self, how):
        status, _, form = how.partition(" ")
        if how == "lost":
            raise Lost
        if how == "silent":
            never.wait(60)
            raise Lost
        if how == "truncated":
            return self.raw("HTTP/1.0 200 OK", GOOD[:-9])
        if how == "html":
            return self.send(200, b"<html>Please log in</html>")
        if how == "large":
            return self.send(200, {"id": "c-1", "rows": LARGE})
        if how == "gzip cut":
            return self.send(200, gzip.compress(GOOD)[:-12], [("content-encoding", "gzip")])
        if form == "cut":
            return self.raw(f"HTTP/1.1 {status} Cut\r\nContent-Length: 70", b'{"code":"in')
        headers = [("retry-after", "1")] if form == "later" else []
        return self.send(int(status), {"message": "no"}, headers)

    def mcp(self, message):
        method, params = message.get("method"), message.get("params") or {}
        if "id" not in message:
            return self.send(202, b"")
        if method == "initialize":
            session = [("mcp-session-id", uuid.uuid4().hex)] if self.path == "/session" else []
            return self.result(message, {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            }, session)
        if method == "tools/list":
            names = ("pay", "void", "find", "voided", "look", "refuse")
            return self.result(message, {"tools": [{"name": n, "inputSchema": {"type": "object"}} for n in names]})
        if method != "tools/call":
            return self.result(message, {})
        verb, arguments = params["name"], params.get("arguments") or {}
        if verb in ("find", "voided"):
            return self.structured(message, ask(verb, arguments))
        how = "error" if verb == "refuse" else act(verb, arguments, arguments["key"])
        return self.structured(message, json.loads(GOOD)) if how is None else self.mcp_err(message, how)

    def mcp_err(self, message, how):
        if how in ("error", "error text"):
            text = [{"type": "text", "text": "something went wrong"}]
            more = {"structuredContent": {"code": "internal"}} if how == "error" else {}
            return self.result(message, {"content": text, "isError": True, **more})
        if how.startswith("-32"):
            error = {"code": int(how), "message": "Output validation error"}
            return self.send(200, {"jsonrpc": "2.0", "id": message["id"], "error": error})
        if how == "unnamed":
            error = {"code": -32603, "message": "the server behind has ended"}
            return self.send(200, {"jsonrpc": "2.0", "id": None, "error": error})
        if how == "input":
            return self.result(message, {"resultType": "input_required", "inputRequests": {}})
        if how == "large":
            return self.structured(message, {"id": "c-1", "rows": LARGE})
        if how == "block":
            blocks = [{"type": "hologram", "data": "?"}]
            return self.result(message, {"content": blocks, "structuredContent": json.loads(GOOD)})
        if how == "queued":
            return self.structured(message, {"state": "queued"})
        return self.err(how)

    def structured(self, message, value):
        text = [{"type": "text", "text": json.dumps(value)}]
        self.result(message, {"content": text, "structuredContent": value})

    def result(self, message, value, headers=()):
        self.send(200, {"jsonrpc": "2.0", "id": message["id"], "result": value}, headers)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


server = Server(("127.0.0.1", 0), Stranger)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
