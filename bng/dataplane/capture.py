"""DHCP frames from and to a subscriber interface, beside the kernel's own IP stack.

A filter in the kernel lets only DHCP requests through: anything else never reaches this process, and costs
the forwarded packet nothing. The capture sees a frame before the gate drops it.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from typing import NamedTuple

import structlog

log = structlog.get_logger(__name__)

_ETH_P_IP = 0x0800
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING, _PACKET_AUXDATA, _PACKET_STATISTICS = 23, 8, 6
_STATISTICS = struct.Struct("=II")
_STATUS = struct.Struct("=I")
_CHECKSUM_NOT_READY = 1 << 3
_EXTRA = socket.CMSG_SPACE(20)
_PACKET_OTHERHOST = 3
_MAX_FRAME = 9216
_BUFFER = 8 << 20
"""Octets for frames that wait: a second of a flood, or thousands of subscribers at once after a power cut."""
_DHCP_SERVER = 67
_UDP = 17

_LD_WORD, _LD_HALF, _LD_BYTE = 0x20, 0x28, 0x30
_LD_HALF_INDEXED, _LDX_IP_HEADER = 0x48, 0xB1
_JUMP_EQUAL, _JUMP_ANY_SET, _RETURN = 0x15, 0x45, 0x06
_PACKET_TYPE = 0xFFFFF000 + 4
_INSTRUCTION = struct.Struct("=HBBI")
_IP = 14


def _filter() -> bytes:
    """Classic BPF: IPv4, UDP to port 67, not a fragment, not for another host. Jumps count the
    instructions that they leave out."""
    program = (
        (_LD_WORD, 0, 0, _PACKET_TYPE),
        (_JUMP_EQUAL, 9, 0, _PACKET_OTHERHOST),
        (_LD_HALF, 0, 0, 12),
        (_JUMP_EQUAL, 0, 7, _ETH_P_IP),
        (_LD_BYTE, 0, 0, _IP + 9),
        (_JUMP_EQUAL, 0, 5, _UDP),
        (_LD_HALF, 0, 0, _IP + 6),
        (_JUMP_ANY_SET, 3, 0, 0x3FFF),
        (_LDX_IP_HEADER, 0, 0, _IP),
        (_LD_HALF_INDEXED, 0, 0, _IP + 2),
        (_JUMP_EQUAL, 1, 0, _DHCP_SERVER),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, _MAX_FRAME),
    )
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


class Captured(NamedTuple):
    """A frame from a subscriber interface.

    Attributes:
        data: the complete Ethernet frame.
        checksum_ready: False when its sender left the UDP checksum to hardware, as happens on veth.
    """

    data: bytes
    checksum_ready: bool


class DhcpCapture:
    """DHCP on one subscriber interface. The file descriptor stays the same as long as this lives, also when
    the interface is removed and made again: then `rebind`.

    Raises OSError when packet sockets are not permitted (NET_RAW).

    Attributes:
        interface: its name.
        index: number of the interface that it listens on, 0 while there is none.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self.index = 0
        # Protocol 0 hears nothing until the filter is in place and `bind` names the protocol.
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_PACKET, kind, 0)
        program = ctypes.create_string_buffer(_filter())  # lives until the kernel has copied it
        head = struct.pack("@HP", len(program) // _INSTRUCTION.size, ctypes.addressof(program))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
        for option in (_PACKET_IGNORE_OUTGOING, _PACKET_AUXDATA):
            self._socket.setsockopt(_SOL_PACKET, option, 1)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except OSError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self.rebind()

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def rebind(self) -> bool:
        """Listen on the interface of this name as it is now. False while there is none. Cheap when nothing
        changed: to be called with `DataPlane.refresh`."""
        try:
            index = socket.if_nametoindex(self.interface)
        except OSError:
            self.index = 0
            return False
        if index != self.index:
            try:
                self._socket.bind((self.interface, _ETH_P_IP))
            except OSError as fault:
                log.warning("capture.not-bound", interface=self.interface, reason=fault.strerror)
                self.index = 0
                return False
            self.index = index
        return True

    def lost(self) -> int:
        """Frames that found no room in the socket since this was asked last."""
        try:
            counted = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        except OSError:
            return 0
        return int(_STATISTICS.unpack(counted)[1])

    def receive(self, limit: int = 64) -> list[Captured]:
        """Frames that have come, at most `limit`. Empty when there are none (also when the interface has
        gone; `index` is 0 then)."""
        frames: list[Captured] = []
        take, receive = frames.append, self._socket.recvmsg
        try:
            for _ in range(limit):
                data, extra, _, _ = receive(_MAX_FRAME, _EXTRA)
                take(Captured(data, _checksum_ready(extra)))
        except BlockingIOError:
            pass
        except OSError as fault:
            # ENETDOWN comes once when the interface goes down or away; the socket stays usable.
            if fault.errno not in (errno.ENETDOWN, errno.ENODEV, errno.ENXIO):
                log.warning("capture.receive-failed", interface=self.interface, reason=fault.strerror)
            self.rebind()
        return frames

    def send(self, frame: bytes) -> bool:
        """Send a complete Ethernet frame. False when it could not be: the interface is away, or its queue
        full; DHCP clients repeat themselves."""
        if not self.index:
            return False
        try:
            self._socket.sendto(frame, (self.interface, 0))
        except OSError as fault:
            log.debug("capture.send-failed", interface=self.interface, reason=fault.strerror)
            return False
        return True


def _checksum_ready(extra: list[tuple[int, int, bytes]]) -> bool:
    """From tpacket_auxdata."""
    for level, kind, value in extra:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA) and len(value) >= _STATUS.size:
            return not _STATUS.unpack_from(value)[0] & _CHECKSUM_NOT_READY
    return True
