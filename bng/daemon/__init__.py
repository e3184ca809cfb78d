"""The processes of a BNG and the wiring of their parts: `run` starts `control` and `management`."""
