#!/usr/bin/env python3
"""A participant in Python with the barrier: an account that can be charged and refunded, over HTTP.

    pip install psycopg            # or apt-get install python3-psycopg
    psql "$DATABASE_URL" -f sql/barrier/barrier.sql
    psql "$DATABASE_URL" -c 'create table account (id bigint primary key, cents bigint not null)'
    DATABASE_URL=postgres://... python3 examples/barrier.py 8080

The definition that goes with it:

    effect: idempotent
    safe_when_absent: true
    action: { http: account, path: /charges, body: { account: 1, cents: 250 } }
    compensation: { http: account, path: /refunds, body: { account: 1, cents: 250, key: "${ action_key }" } }
    probe: { http: account, path: "/charges/${ key }", applied: "${ result.found }", settle: 0s }
"""

import json
import os
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg


def charge(transaction, key, account, cents):
    """Takes money once, however often it is called; not at all after a refund or an answer of "absent"."""
    output = json.dumps({"charge": f"ch_{key}"})
    verdict, known = transaction.execute("select * from amends_barrier.action(%s, %s)", (key, output)).fetchone()
    if verdict == "barred":
        return 409, {"code": "barred", "error": "this charge was cancelled before it came; nothing was done"}
    if verdict == "proceed":
        transaction.execute("update account set cents = cents - %s where id = %s", (cents, account))
    return 200, json.loads(known or output)


def refund(transaction, action_key, account, cents):
    """Gives the money of a charge back once, if it was taken."""
    verdict, _ = transaction.execute("select * from amends_barrier.compensation(%s)", (action_key,)).fetchone()
    if verdict == "proceed":
        transaction.execute("update account set cents = cents + %s where id = %s", (cents, account))
    return 200, {"refund": verdict}


def find(transaction, key):
    """Says whether a charge took effect. An absence that is answered is an absence for ever."""
    verdict, known = transaction.execute("select * from amends_barrier.probe(%s)", (key,)).fetchone()
    return 200, {"found": verdict == "applied", **json.loads(known or "{}")}


class Participant(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/charges":
            self.answer(charge, self.headers["Idempotency-Key"], body["account"], body["cents"])
        elif self.path == "/refunds":
            self.answer(refund, body["key"], body["account"], body["cents"])
        else:
            self.reply(404, {"error": "no such path"})

    def do_GET(self):
        self.answer(find, urllib.parse.unquote(self.path.removeprefix("/charges/")))

    def answer(self, function, *arguments):
        try:
            # The effect and the barrier's row commit together, and only then is the caller told.
            with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
                status, body = function(connection, *arguments)
        except psycopg.Error as error:
            # AM010: the barrier may have forgotten this key. Whether there was an effect is unknown, and the caller must be
            # told neither a success nor a 4xx: a probe stays inconclusive, a refund is not taken for made.
            status, body = 500 if error.sqlstate == "AM010" else 503, {"error": str(error)}
        self.reply(status, body)

    def reply(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Participant)
    print(server.server_port, flush=True)
    server.serve_forever()
