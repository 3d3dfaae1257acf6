"""Root in the virtual machine itself, as after an escape from a container: through the guest agent's channel, to which only the user has access."""

import base64
import json
import os
import socket
import time


class VmRoot:
    def __init__(self, path):
        self.channel = socket.socket(socket.AF_UNIX)
        self.channel.settimeout(60)
        self.channel.connect(str(path))
        self.lines = self.channel.makefile("rb")
        number = int.from_bytes(os.urandom(4), "big")
        self.channel.sendall(b"\xff" + json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": number}}).encode() + b"\n")
        for line in self.lines:
            if f'"return": {number}' in line.decode(errors="replace"):
                return
        raise OSError("the guest agent does not answer")

    def _ask(self, command, **arguments):
        self.channel.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        if "return" not in answer:
            raise OSError(f"{command}: {answer}")
        return answer["return"]

    def sh(self, script, seconds=120):
        """What it prints on both streams."""
        pid = self._ask("guest-exec", path="/bin/bash", arg=["-c", "exec 2>&1\n" + script], **{"capture-output": True})["pid"]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status = self._ask("guest-exec-status", pid=pid)
            if status["exited"]:
                return base64.b64decode(status.get("out-data", "")).decode(errors="replace")
            time.sleep(0.2)
        raise OSError("the script does not end: " + script[:200])

    def close(self):
        self.lines.close()
        self.channel.close()
