"""Talking to an emulator over real HTTP: whole bodies through one shared client, and bytes through a bare socket."""

import json
import socket
from urllib.parse import urlsplit

import httpx

CLIENT = httpx.Client(timeout=10, trust_env=False)  # a proxy of the environment has no business on loopback
KEY = {"authorization": "Bearer sk-test"}
HELLO = [{"role": "user", "content": "Hello there"}]


def body(content=None, **fields):
    """Return a chat request to the present model, without thinking unless asked."""
    messages = HELLO if content is None else [{"role": "user", "content": content}]
    return {"model": "deepseek-flash", "messages": messages, "thinking": {"type": "disabled"}, **fields}


def post(emulator, request=None, *, path="/chat/completions", headers=KEY):
    """Return the answer to a chat request."""
    return CLIENT.post(emulator.base_url + path, json=body() if request is None else request, headers=headers)


def get(emulator, path, headers=KEY):
    """Return the answer to a GET."""
    return CLIENT.get(emulator.base_url + path, headers=headers)


def chunks(response):
    """Return the objects of a stream."""
    return [json.loads(frame[6:]) for frame in response.text.split("\n\n") if frame.startswith("data: {")]


def said(objects, key="content"):
    """Return the text of one channel of a stream."""
    return "".join(chunk["choices"][0]["delta"].get(key) or "" for chunk in objects)


def answer(emulator, request=None):
    """Return the message of a plain reply."""
    return post(emulator, request).json()["choices"][0]["message"]


def connect(emulator, request=None):
    """Return a bare socket on which a chat request was sent."""
    url = urlsplit(emulator.base_url)
    data = json.dumps(body() if request is None else request).encode()
    head = "POST /chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\n"
    sock = socket.create_connection((url.hostname, url.port), timeout=10)
    sock.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)
    return sock


def everything(sock):
    """Return all bytes until the other side closes, and whether it closed with RST."""
    received = b""
    try:
        while part := sock.recv(65536):
            received += part
    except ConnectionResetError:
        return received, True
    return received, False


def until(sock, mark):
    """Return the bytes up to and with ``mark``."""
    received = b""
    while mark not in received:
        part = sock.recv(65536)
        assert part, f"closed before {mark!r}: {received!r}"
        received += part
    return received


def fim(prompt="def fib(a):", suffix="    return fib(a-1) + fib(a-2)", **fields):
    """Return a fill-in-the-middle request to the present model."""
    return {"model": "deepseek-flash", "prompt": prompt, "suffix": suffix, **fields}


def complete(emulator, request=None, *, path="/beta/completions", headers=KEY):
    """Return the answer to a fill-in-the-middle request."""
    return CLIENT.post(emulator.base_url + path, json=fim() if request is None else request, headers=headers)
