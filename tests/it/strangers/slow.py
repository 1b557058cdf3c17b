"""A stranger over stdio with one thread: while a tool works, no other request is read, no ping answered.

Arguments: the ledger. Standard library only.
"""
import json
import os
import sys
import time

from ledger import Ledger

ledger = Ledger(sys.argv[1])
ledger.write("start", "", str(os.getpid()))


def charge(order, key, seconds):
    if seconds and ledger.delivery(order, "charge") == 1:
        ledger.write("begin", order, key)
        time.sleep(seconds)
    return {"id": ledger.effect(order, key)}


TOOLS = {
    "charge": charge,
    "find": lambda key: {"found": ledger.has(key)},
    "void": lambda order, key, of: {"voided": ledger.undo(order, key, of)},
}


def serve(method, params):
    if method == "initialize":
        info = {"name": "slow", "version": "1"}
        version = params["protocolVersion"]
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
    if method == "tools/call":
        value = TOOLS[params["name"]](**params["arguments"])
        return {"content": [{"type": "text", "text": json.dumps(value)}], "structuredContent": value}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = serve(message["method"], message.get("params") or {})
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
