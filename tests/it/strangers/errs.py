"""A proxy before a real server on pipes: what the server does is done, and each answer to a call of the named tools is
replaced by an error, of the tool or of the protocol in turns.

Arguments: the tools, separated by commas; the server's command.
"""
import json
import subprocess
import sys
import threading

tools = sys.argv[1].split(",")
server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
replaced = set()


def ask():
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("method") == "tools/call" and message["params"]["name"] in tools:
            replaced.add(message["id"])
        server.stdin.write(line)
        server.stdin.flush()
    server.stdin.close()


threading.Thread(target=ask, daemon=True).start()
count = 0
for line in server.stdout:
    message = json.loads(line)
    if message.get("id") in replaced and "method" not in message:
        replaced.discard(message["id"])
        count += 1
        for name in ("result", "error"):
            message.pop(name, None)
        if count % 2:
            message["result"] = {"isError": True, "content": [{"type": "text", "text": "lost behind the proxy"}]}
        else:
            message["error"] = {"code": -32603, "message": "lost behind the proxy"}
        line = json.dumps(message).encode() + b"\n"
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
