"""A stranger written with FastMCP, over stdio. Argument: the ledger.

`way` says how the first call of an order errs, before or after its effect; later calls are served well.
"""
import logging
import sys

from fastmcp import FastMCP
from fastmcp.exceptions import ToolError
from pydantic import BaseModel

from ledger import Ledger

# Their logs paint each exception, which takes longer than a call.
logging.disable(logging.CRITICAL)
ledger = Ledger(sys.argv[1])
server = FastMCP("fast")


class Charge(BaseModel):
    id: str


def err(way):
    if way == "timeout":
        raise TimeoutError("the bank took too long")
    if way == "tool error":
        raise ToolError("upstream: 502 Bad Gateway")
    if way == "declined":
        raise ToolError("declined: the card has expired")


def serve(order, way, what, effect):
    when, _, how = way.partition(" ")
    first = ledger.delivery(order, what) == 1
    if when == "before" and first or when == "never":
        err(how)
    done = effect()
    if when == "after" and first or when == "always":
        if how == "shape":
            return {"id": {"number": 17}}
        err(how)
    return done


# The result is validated after the effect.
@server.tool(output_schema=Charge.model_json_schema())
def charge(order: str, key: str, way: str = "", once: bool = False):
    return serve(order, way, "charge", lambda: {"id": ledger.effect(order, key, once)})


@server.tool
def find(key: str) -> dict:
    return {"found": ledger.has(key), "id": "found"}


@server.tool
def void(order: str, key: str, of: str, way: str = "") -> dict:
    return serve(order, way, "void", lambda: {"voided": ledger.undo(order, key, of)})


@server.tool
def voided(of: str) -> dict:
    return {"found": ledger.was_undone(of)}


@server.tool
def refuse() -> str:
    raise ToolError("declined: the account is closed")


server.run(show_banner=False)
