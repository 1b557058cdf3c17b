"""A stranger written with the official Python SDK, over stdio: its second generation, or its first. Argument: the ledger.

A return value of the wrong shape is found by the SDK after the effect; the text is then only that the tool failed.
"""
import logging
import sys
from typing import Any

from pydantic import BaseModel

from ledger import Ledger

try:
    from mcp.server.mcpserver import MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server

# Their logs paint each exception, which takes longer than a call.
logging.disable(logging.CRITICAL)
ledger = Ledger(sys.argv[1])
server = Server("official")


class Charge(BaseModel):
    id: str


class Voided(BaseModel):
    voided: bool


class Found(BaseModel):
    found: bool


def serve(order, way, what, effect):
    when, _, how = way.partition(" ")
    first = ledger.delivery(order, what) == 1
    if (when == "before" and first) or when == "never":
        raise RuntimeError("declined" if how == "declined" else "the bank is away")
    done = effect()
    if (when == "after" and first) or when == "always":
        if how == "shape":
            return {"id": {"number": 17}}
        raise TimeoutError("the bank took too long")
    return done


@server.tool()
def charge(order: str, key: str, way: str = "", once: bool = False) -> Charge:
    return serve(order, way, "charge", lambda: {"id": ledger.effect(order, key, once)})


@server.tool()
def find(key: str) -> Found:
    return Found(found=ledger.has(key))


@server.tool()
def void(order: str, key: str, of: str, way: str = "") -> Voided:
    return serve(order, way, "void", lambda: {"voided": ledger.undo(order, key, of)})


@server.tool()
def voided(of: str) -> Found:
    return Found(found=ledger.was_undone(of))


@server.tool()
def refuse() -> str:
    raise RuntimeError("declined: the account is closed")


server.run()
