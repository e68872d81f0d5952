"""The names that gRPC's classes have here. They are generic for the type checker only, not at run time."""

from typing import TYPE_CHECKING, Any

import grpc
from grpc.aio import EOF  # type: ignore[attr-defined]  # grpc-stubs leave it out

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[bytes, bytes]
    Handler = grpc.GenericRpcHandler[Any, Any]
    Method = grpc.RpcMethodHandler[Any, Any]
else:
    Context = grpc.aio.ServicerContext
    Handler = grpc.GenericRpcHandler
    Method = grpc.RpcMethodHandler

__all__ = ["EOF", "Context", "Handler", "Method"]
