"""NETCONF as bytes and messages, without I/O (RFC 6241, 6242).

`framing` cuts the byte stream into messages and back, `xml` parses what a stranger sent, `hello`
agrees on a version, `rpc` and `errors` read requests and write replies; `connection` joins them into
the state machine of one session's server side: bytes go in, requests come out.
"""
