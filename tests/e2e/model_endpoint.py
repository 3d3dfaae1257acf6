#!/usr/bin/env python3
"""A scripted model: drives real agents without the internet.

Speaks as much as the agents need of three APIs, told apart by path:
  Anthropic Messages      POST /v1/messages                        (Claude Code; tool "Bash")
  OpenAI Responses        POST /v1/responses                       (Codex; exec_command, shell_command or shell)
  Google generateContent  POST …/models/M:[stream]generateContent  (Gemini CLI; run_shell_command)

The script is a list of shell commands (--command, repeated). A conversation with n tool results gets the call of command n,
and after the last one the final text (--final). So the endpoint keeps no state, and any number of agents may run at once.
Requests without tools (titles, topics, routing) get a short text; everything unknown a harmless answer.

Every request becomes one line of JSON in --log:
  {"n", "method", "path", "api", "headers", "model", "stream", "tools": [names], "results": [texts], "said": last user text, "reply"}
"reply" is "call", "final", "aside" or "other". --log-bodies adds the whole "body".

Prints "listening HOST PORT" on stdout once it accepts. Standard library only. For tests; not hardened.
"""

import argparse
import gzip
import http.server
import json
import ssl
import sys
import threading
import time
import urllib.parse


def text_of(content):
    """The text in any of the three APIs' content values."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(text_of(part) for part in content)
    if isinstance(content, dict):
        for key in ("text", "content", "output", "response"):
            if key in content:
                return text_of(content[key]) if not key == "response" else json.dumps(content[key])
    return ""


def sse(events):
    """(name or None, data) pairs as a server-sent event stream."""
    out = []
    for name, data in events:
        out.append((f"event: {name}\n" if name else "") + "data: " + json.dumps(data) + "\n\n")
    return "".join(out).encode()


class Conversation:
    """What a request says, whatever the API."""

    def __init__(self, model="", tools=(), results=(), said="", stream=False):
        self.model, self.tools, self.results, self.said, self.stream = model, list(tools), list(results), said, stream


# ---- Anthropic Messages ------------------------------------------------------------------------------------------

def anthropic_read(body):
    results, said = [], ""
    for message in body.get("messages", []):
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        for part in parts:
            if part.get("type") == "tool_result":
                results.append(text_of(part.get("content", "")))
            elif part.get("type") == "text" and message.get("role") == "user":
                said = part.get("text", "")
    tools = [tool.get("name", "") for tool in body.get("tools", [])]
    return Conversation(body.get("model", ""), tools, results, said, bool(body.get("stream")))


def anthropic_reply(conversation, call, text):
    usage = {"input_tokens": 10, "output_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    if call is None:
        block, stop = {"type": "text", "text": text}, "end_turn"
    else:
        block = {"type": "tool_use", "id": f"toolu_{len(conversation.results):024d}", "name": "Bash",
                 "input": {"command": call, "description": "Scripted step"}}
        stop = "tool_use"
    message = {"id": f"msg_{time.time_ns()}", "type": "message", "role": "assistant", "model": conversation.model,
               "content": [block], "stop_reason": stop, "stop_sequence": None, "usage": usage}
    if not conversation.stream:
        return "application/json", json.dumps(message).encode()
    start = dict(message, content=[], stop_reason=None)
    if call is None:
        opened, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": text}
    else:
        opened, delta = dict(block, input={}), {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    return "text/event-stream", sse([
        ("message_start", {"type": "message_start", "message": start}),
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": opened}),
        ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        ("message_delta", {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None},
                           "usage": {"output_tokens": 10}}),
        ("message_stop", {"type": "message_stop"})])


# ---- OpenAI Responses --------------------------------------------------------------------------------------------

def named_tools(tools):
    """Tool names; newer models get theirs in namespaces."""
    names = []
    for tool in tools:
        names += named_tools(tool["tools"]) if "tools" in tool else [tool.get("name") or tool.get("type", "")]
    return names


def openai_read(body):
    results, said, tools = [], "", named_tools(body.get("tools", []))
    items = body.get("input", [])
    for item in items if isinstance(items, list) else []:
        if item.get("type") in ("function_call_output", "custom_tool_call_output", "local_shell_call_output"):
            results.append(text_of(item.get("output", "")))
        elif item.get("type") == "additional_tools":
            tools += named_tools(item.get("tools", []))
        elif item.get("role") == "user":
            said = text_of(item.get("content", ""))
    return Conversation(body.get("model", ""), tools, results, said, bool(body.get("stream")))


def openai_call(conversation, call):
    """The call item for whichever shell tool this version and model were given."""
    number = len(conversation.results)
    base = {"id": f"fc_{number}", "call_id": f"call_{number}", "status": "completed"}
    for tool, arguments in (("exec_command", {"cmd": call, "yield_time_ms": 30000}),
                            ("shell_command", {"command": call}),
                            ("shell", {"command": ["bash", "-lc", call]}),
                            ("container.exec", {"cmd": ["bash", "-lc", call]})):
        if tool in conversation.tools:
            return dict(base, type="function_call", name=tool, arguments=json.dumps(arguments))
    if "exec" in conversation.tools:  # "code mode": one JavaScript tool that calls the others
        script = "const r = await tools.exec_command(" + json.dumps({"cmd": call, "yield_time_ms": 30000}) + "); text(JSON.stringify(r));"
        return dict(base, type="custom_tool_call", name="exec", input=script)
    return None


def openai_reply(conversation, call, text):
    item = openai_call(conversation, call) if call is not None else None
    if item is None:
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}]}
    response = {"id": f"resp_{time.time_ns()}", "object": "response", "created_at": int(time.time()), "status": "completed",
                "model": conversation.model, "output": [item], "error": None,
                "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 10,
                          "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 20}}
    if not conversation.stream:
        return "application/json", json.dumps(response).encode()
    events = [("response.created", {"response": dict(response, status="in_progress", output=[])}),
              ("response.output_item.added", {"output_index": 0, "item": dict(item, status="in_progress")})]
    if item["type"] == "message":
        events.append(("response.output_text.delta", {"output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": text}))
    events += [("response.output_item.done", {"output_index": 0, "item": item}), ("response.completed", {"response": response})]
    return "text/event-stream", sse((name, dict(data, type=name, sequence_number=i)) for i, (name, data) in enumerate(events))


# ---- Google generateContent --------------------------------------------------------------------------------------

def google_read(body, path):
    results, said = [], ""
    for content in body.get("contents", []):
        for part in content.get("parts", []):
            if "functionResponse" in part:
                results.append(text_of(part["functionResponse"]))
            elif "text" in part and content.get("role", "user") == "user":
                said = part["text"]
    tools = [f.get("name", "") for tool in body.get("tools", []) for f in tool.get("functionDeclarations", [])]
    model = path.rsplit("/models/", 1)[-1].split(":")[0]
    return Conversation(model, tools, results, said, "streamGenerateContent" in path)


def google_reply(conversation, call, text):
    if call is None:
        parts = [{"text": text}]
    else:
        parts = [{"functionCall": {"name": "run_shell_command", "args": {"command": call, "description": "Scripted step"}}}]
    answer = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
              "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20},
              "modelVersion": conversation.model}
    if conversation.stream:
        return "text/event-stream", sse([(None, answer)])
    return "application/json", json.dumps(answer).encode()


# ---- The server --------------------------------------------------------------------------------------------------

class Script:
    """The commands, the final text and the log that all requests share."""

    def __init__(self, commands, final, log, log_bodies):
        self.commands, self.final, self.log, self.log_bodies = commands, final, log, log_bodies
        self.lock, self.count = threading.Lock(), 0

    def record(self, entry, body):
        with self.lock:
            self.count += 1
            entry = dict(n=self.count, **entry)
            if self.log_bodies:
                entry["body"] = body
            if self.log:
                self.log.write(json.dumps(entry) + "\n")
                self.log.flush()

    def answer(self, api, body, path):
        """(entry for the log, content type, bytes) of a model request."""
        read, reply, shell = {
            "anthropic": (anthropic_read, anthropic_reply, ("Bash",)),
            "openai": (openai_read, openai_reply, ("exec_command", "shell_command", "shell", "container.exec", "exec")),
            "google": (lambda b: google_read(b, path), google_reply, ("run_shell_command",)),
        }[api]
        conversation = read(body)
        call, text, kind = None, self.final, "final"
        if not any(tool in conversation.tools for tool in shell):
            text, kind = self.aside(body), "aside"
        elif len(conversation.results) < len(self.commands):
            call, kind = self.commands[len(conversation.results)], "call"
        content_type, payload = reply(conversation, call, text)
        entry = {"model": conversation.model, "stream": conversation.stream, "tools": conversation.tools,
                 "results": conversation.results, "said": conversation.said, "reply": kind}
        return entry, content_type, payload

    @staticmethod
    def aside(body):
        """A request without our tools: a JSON object where one was asked for, else a word."""
        wants_json = "json" in json.dumps(body.get("generationConfig", {})).lower() or "output_config" in body
        return json.dumps({"title": "Scripted", "complexity_reasoning": "scripted", "complexity_score": 50}) if wants_json else "Scripted"


def api_of(path):
    if path.endswith("/messages"):
        return "anthropic"
    if path.endswith("/responses"):
        return "openai"
    if ":generateContent" in path or ":streamGenerateContent" in path:
        return "google"
    return None


def side_answer(method, path):
    """(status, JSON) for everything that is no model request."""
    if path.endswith("/count_tokens"):
        return 200, {"input_tokens": 10}
    if ":countTokens" in path:
        return 200, {"totalTokens": 10}
    if path.endswith("/models"):
        return 200, {"object": "list", "data": [], "models": [], "has_more": False}
    if path in ("", "/"):
        return 200, {}
    if method == "GET" and path.endswith("/responses"):  # an attempt at a WebSocket: this status makes Codex use plain HTTP at once
        return 426, {"error": {"message": "only plain HTTP here"}}
    return (200, {}) if method == "POST" else (404, {"type": "error", "error": {"type": "not_found_error", "message": "not scripted"}})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script = None

    def log_message(self, *args):
        pass

    def read_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding", "").lower() == "gzip":
            data = gzip.decompress(data)
        try:
            parsed = json.loads(data) if data else {}
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    def handle_any(self):
        path = urllib.parse.urlsplit(self.path).path  # also takes a proxy's absolute form
        body = self.read_body()
        api = api_of(path) if self.command == "POST" else None
        entry = {"method": self.command, "path": self.path, "api": api, "headers": {k.lower(): v for k, v in self.headers.items()}}
        status = 200
        if api:
            try:
                more, content_type, payload = self.script.answer(api, body, path)
                entry.update(more)
            except Exception as error:  # a test endpoint: say it to the agent and in the log, and live on
                status, content_type = 500, "application/json"
                payload = json.dumps({"error": repr(error)}).encode()
                entry.update(reply="other", failure=repr(error))
        else:
            status, value = side_answer(self.command, path)
            content_type, payload = "application/json", json.dumps(value).encode()
            entry.update(reply="other")
        self.script.record(entry, body)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = handle_any


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--command", action="append", default=[], help="a shell command of the script; repeated")
    parser.add_argument("--final", default="All scripted steps are done.")
    parser.add_argument("--log", help="append one JSON line a request")
    parser.add_argument("--log-bodies", action="store_true")
    parser.add_argument("--cert", help="serve TLS with this PEM certificate")
    parser.add_argument("--key")
    options = parser.parse_args()

    Handler.script = Script(options.command, options.final, open(options.log, "a") if options.log else None, options.log_bodies)
    server = http.server.ThreadingHTTPServer((options.host, options.port), Handler)
    server.daemon_threads = True
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print("listening", *server.server_address[:2], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    sys.exit(main())
