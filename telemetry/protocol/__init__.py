"""The gNMI protocol without I/O: its messages, and its paths and values as Python has them.

`gnmi_pb2` and `gnmi_ext_pb2` are made from the .proto files by `python -m telemetry.protocol.generate`
and kept under version control, so that an editable install and a wheel work alike. `paths`, `values`
and `wire` know the protocol alone and are what a client needs; `model` joins them with a YANG schema.

pygnmi and other clients ship stubs with the same full names: never load both in one process.
"""
