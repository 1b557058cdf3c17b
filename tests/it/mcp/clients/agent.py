"""Drives a node with the Python SDK: argv is how to reach it (a URL, or a program with its arguments) and prints JSON.

Calls one checkout in each era with a time-out shorter than the saga, then again with the same key until it is final.
"""

import asyncio
import json
import os
import sys

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client


async def drive(reach, mode):
    told = []

    async def progress(done, total, message):
        told.append(done)

    arguments = {"guest": f"slow {mode}", "idempotency_key": f"python-{mode}"}
    async with Client(reach(), mode=mode) as client:
        version = str(client.protocol_version)
        tools = sorted(tool.name for tool in (await client.list_tools()).tools)
        try:
            await client.call_tool("hotel_checkout", arguments, read_timeout_seconds=0.7)
            gave_up = False
        except MCPError:
            gave_up = True
        for _ in range(20):
            result = await client.call_tool("hotel_checkout", arguments, progress_callback=progress)
            if result.structured_content["status"] != "in_progress":
                break
        refused = await client.call_tool("hotel_checkout", {"guest": 7})
    return {
        "version": version,
        "tools": tools,
        "gave_up": gave_up,
        "result": result.structured_content,
        "refused": refused.is_error,
        "told": told,
    }


async def main():
    if sys.argv[1].startswith("http"):
        reach = lambda: sys.argv[1]
    else:
        reach = lambda: StdioServerParameters(command=sys.argv[1], args=sys.argv[2:], env=dict(os.environ))
    print(json.dumps([await drive(reach, mode) for mode in ("legacy", "auto")]))


asyncio.run(main())
