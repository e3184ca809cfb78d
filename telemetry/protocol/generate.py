"""Make the protobuf modules from the .proto files: `python -m telemetry.protocol.generate [DIRECTORY]`.

Needs grpcio-tools, a dependency of development only. Without an argument the modules are written in
place; a test writes them elsewhere and compares, so that neither side can drift.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCES = ("gnmi_ext.proto", "gnmi.proto", "tunnel.proto")


def generate(directory: Path = ROOT) -> list[Path]:
    """Write the modules and their type stubs below `directory` and return their names.

    Raises RuntimeError when the compiler refuses a source; it has printed why.
    """
    import grpc_tools
    from grpc_tools import protoc

    well_known = Path(grpc_tools.__file__).parent / "_proto"
    relative = [f"telemetry/protocol/{source}" for source in SOURCES]
    arguments = [
        "protoc",
        f"--proto_path={ROOT}",
        f"--proto_path={well_known}",
        f"--python_out={directory}",
        f"--pyi_out={directory}",
        *relative,
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc refused the sources of gNMI")
    stems = [name.removesuffix(".proto") for name in relative]
    return [directory / f"{stem}_pb2{suffix}" for stem in stems for suffix in (".py", ".pyi")]


if __name__ == "__main__":
    for path in generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT):
        print(path)
