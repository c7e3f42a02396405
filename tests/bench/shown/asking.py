"""One turn by one client, in a cell of a notebook: what its kernel sent to the page for it, and the CPU it took.

Names the functions `dsnb`, `chatlas` and `lisette`, each of which shows an answer as its own documentation has it.
"""

import json
import time
from importlib.metadata import version
from pathlib import Path

from IPython import get_ipython

MODEL = "deepseek-flash"


def dsnb(url, prompt):
    import dsnb

    with dsnb.connect(url, "any", quiet=True) as ds:
        ds.ask(prompt)


def chatlas(url, prompt):
    from chatlas import ChatDeepSeek

    ChatDeepSeek(model=MODEL, api_key="any", base_url=url).chat(prompt)


def lisette(url, prompt):
    from lisette.core import Chat, display_stream

    chat = Chat(f"deepseek/{MODEL}", api_base=url, api_key="any")
    # lisette 0.1.37 ends with an IndexError at the chunk that litellm 1.110 makes of the usage, which has no choices
    display_stream(item for item in chat(prompt, stream=True) if getattr(item, "choices", True))


def measure(client, url, prompt):
    """Ask, and write what it took to ``client.json``."""
    sent, thread = [0, 0], get_ipython().kernel.iopub_thread
    send = thread.send_multipart

    def counted(parts, *args, **kwargs):
        sent[0] += 1
        sent[1] += sum(len(getattr(part, "bytes", part)) for part in parts)
        send(parts, *args, **kwargs)

    thread.send_multipart = counted
    start, cpu = time.time(), time.process_time()
    try:
        globals()[client](url, prompt)
    finally:
        thread.send_multipart = send
    told = {"messages": sent[0], "bytes": sent[1], "cpu": time.process_time() - cpu, "seconds": time.time() - start}
    Path(f"{client}.json").write_text(json.dumps({"version": version(client), **told}))
