"""Doing something inside of a network namespace from a process that stays outside."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

NAMESPACES = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_SIOCETHTOOL = 0x8946
_SIOCGIFADDR = 0x8915
# linux/ethtool.h: checksum, scatter-gather, TSO, GSO, GRO
_ETHTOOL_SETTERS = (0x17, 0x19, 0x1F, 0x24, 0x2C)

_libc = ctypes.CDLL(None, use_errno=True)

Result = TypeVar("Result")


def enter(namespace: str) -> None:
    """Move the calling thread into a namespace; raises OSError when there is none of that name."""
    descriptor = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), namespace)
    finally:
        os.close(descriptor)


def run_inside(namespace: str, function: Callable[[], Result]) -> Result:
    """Call ``function`` in a thread that is in the namespace, and return what it returns.

    Sockets that it opens belong to the namespace for good, whoever uses them later.
    """
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            enter(namespace)
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body, name=f"in-{namespace}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def set_sysctls(sysctls: dict[str, str]) -> None:
    """Write settings of the namespace that the calling thread is in; absent ones are skipped."""
    for name, value in sysctls.items():
        path = Path("/proc/sys", *name.split("."))
        if path.exists():
            path.write_text(value)


def disable_offloads(interfaces: list[str]) -> None:
    """Frames of the wire's size with real checksums, on interfaces of the calling thread's namespace.

    The BNG counts and shapes frames, and relays read DHCP from packet sockets: neither must meet segments
    that were never cut or checksums that were never filled in.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for interface in interfaces:
            for setter in _ETHTOOL_SETTERS:
                value = ctypes.create_string_buffer(struct.pack("II", setter, 0))
                request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
                _ioctl(sock, _SIOCETHTOOL, request)


def _ioctl(sock: socket.socket, code: int, request: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(request, 40)
    if _libc.ioctl(sock.fileno(), ctypes.c_ulong(code), buffer) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return buffer.raw


def interface_address(namespace: str, interface: str) -> str | None:
    """The first IPv4 address of an interface, None while it has none."""

    def query() -> str | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            request = struct.pack("16s24x", interface.encode())
            try:
                answer = _ioctl(sock, _SIOCGIFADDR, request)
            except OSError:
                return None
            return socket.inet_ntoa(answer[20:24])

    try:
        return run_inside(namespace, query)
    except OSError:
        return None


def tcp_socket(namespace: str) -> socket.socket:
    """A non-blocking TCP socket that connects from inside of a namespace."""

    def open_socket() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        return sock

    return run_inside(namespace, open_socket)
