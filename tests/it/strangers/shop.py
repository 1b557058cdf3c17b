"""A stranger behind the standard library's WSGI server, which decodes %2F before the application routes.

Arguments: the ledger. A charge is made under the `request` of the body, and found at /charges/by-request/REQUEST.
The first answer of each order is lost. With `strict` in the path, a request id has 25 to 36 characters.
"""
import json
import re
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from ledger import Ledger

ledger = Ledger(sys.argv[1])


def application(environ, start_response):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = json.loads(environ["wsgi.input"].read(length) or b"{}")

    def answer(status, value):
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(value).encode()]

    strict, path = path.startswith("/strict"), path.removeprefix("/strict")
    if method == "POST" and path == "/charges":
        request, order = body["request"], body["order"]
        if strict and not 25 <= len(request) <= 36:
            return answer("400 Bad Request", {"code": "bad_request_id"})
        ledger.effect(order, request)
        if ledger.delivery(order, "charge") == 1:
            # A server that dies after its effect: nothing is sent.
            raise ConnectionAbortedError
        return answer("201 Created", {"id": "c-" + request})
    if found := re.fullmatch("/charges/by-request/([^/]+)", path):
        if ledger.has(found[1]):
            return answer("200 OK", {"id": "c-" + found[1]})
        return answer("404 Not Found", {"code": "no_such_charge"})
    if found := re.fullmatch("/charges/c-([^/]+)/refund", path):
        ledger.undo(body["order"], environ.get("HTTP_IDEMPOTENCY_KEY"), found[1])
        return answer("200 OK", {})
    return answer("404 Not Found", {"code": "no_such_route"})


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


server = make_server("127.0.0.1", 0, application, handler_class=Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
