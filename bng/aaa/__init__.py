"""RADIUS authentication and accounting.

`client` is the protocol without I/O and without a clock, `servers` which server is asked, `accounting` the
records that wait, `spool` and `interims` where they are on the disk, `attributes` requests and `grants`
answers as attributes, `shell` the UDP sockets around it, `dictionary` names and types of attributes.
`coa` is the server of RFC 5176 in the same manner, `coa_request` what its requests mean, `coa_shell` the
socket.
"""
