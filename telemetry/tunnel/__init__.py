"""Dial-out: targets call tunnel servers, which open connections to them through that call.

The protocol is openconfig/grpctunnel: `registration` is its logic for one call, without I/O; `session`
carries the octets of one connection between a stream of the tunnel and the gNMI server of this process,
which sees a TCP connection with TLS like any other; `connection` is one call, and `dialer` keeps a call with
each server that is configured. `stream` gives the RPCs of grpc.aio one kind of error. `desk` is the protocol
of a tunnel server's side, which the collector is.
"""
