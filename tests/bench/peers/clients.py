"""Ask one client the two questions: `python clients.py CLIENT BASE_URL [stream]`, in an environment that has it.

Prints what came of it as JSON. Each client does it as its own documentation has it, and none may leave loopback.
"""

import asyncio
import ipaddress
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

MODEL = "deepseek-flash"
QUESTIONS = ("What is the weather in Paris?", "And in Oslo?")
SCHEMA = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell today's weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

called: list[str] = []
refused: list[str] = []


def weather(city: str) -> str:
    """Tell today's weather."""
    called.append(city)
    return f"21 degrees in {city}"


def on_loopback_only(event: str, arguments: tuple) -> None:
    """Refuse to look up or connect to anything but this machine (an audit hook)."""
    if event not in {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}:
        return
    where = arguments[1] if event in {"socket.connect", "socket.sendto"} else arguments
    host = where[0] if isinstance(where, tuple) else None  # a text is a socket in the file system
    if host in {None, "", "localhost", b"localhost"}:
        return
    try:
        if ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback:
            return
    except ValueError:
        pass
    refused.append(str(host))
    raise PermissionError(f"{event}: {host} is not on this machine")


def run_calls(messages: list, calls: list) -> None:
    """Append the results of the calls of an OpenAI message."""
    for call in calls:
        result = weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


def openai(base_url: str, *, stream: bool) -> list[str]:
    from openai import OpenAI, pydantic_function_tool
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from pydantic import BaseModel

    class Weather(BaseModel):
        """Tell today's weather."""

        city: str

    client, messages, answers = OpenAI(base_url=base_url, api_key="any"), [], []
    request = {"model": MODEL, "messages": messages, "tools": [pydantic_function_tool(Weather, name="weather")]}

    def complete():
        if not stream:
            return client.chat.completions.create(**request).choices[0].message
        state = ChatCompletionStreamState()
        for chunk in client.chat.completions.create(**request, stream=True):
            state.handle_chunk(chunk)
        return state.get_final_completion().choices[0].message

    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        while (message := complete()).tool_calls:
            messages.append(message)
            run_calls(messages, message.tool_calls)
        messages.append(message)
        answers.append(message.content)
    return answers


def pydantic_ai(base_url: str, *, stream: bool) -> list[str]:
    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.deepseek import DeepSeekProvider

    provider = DeepSeekProvider(openai_client=AsyncOpenAI(base_url=base_url, api_key="any"))
    agent = Agent(OpenAIChatModel(MODEL, provider=provider), tools=[weather])

    async def run() -> list[str]:
        history, answers = [], []
        for question in QUESTIONS:
            if stream:
                async with agent.run_stream(question, message_history=history) as result:
                    answers.append(await result.get_output())
            else:
                result = await agent.run(question, message_history=history)
                answers.append(result.output)
            history = result.all_messages()
        return answers

    return asyncio.run(run())


def langchain_deepseek(base_url: str, *, stream: bool) -> list[str]:
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool
    from langchain_deepseek import ChatDeepSeek

    weather_tool = tool(weather)
    model = ChatDeepSeek(model=MODEL, api_key="any", base_url=base_url).bind_tools([weather_tool])
    messages, answers = [], []

    def complete():
        if not stream:
            return model.invoke(messages)
        chunks = model.stream(messages)
        return sum(chunks, next(chunks))

    for question in QUESTIONS:
        messages.append(HumanMessage(question))
        while (message := complete()).tool_calls:
            messages.append(message)
            messages += [weather_tool.invoke(call) for call in message.tool_calls]
        messages.append(message)
        answers.append(message.text)
    return answers


def litellm(base_url: str, *, stream: bool) -> list[str]:
    from litellm import completion, stream_chunk_builder

    messages, answers = [], []
    request = {"model": f"deepseek/{MODEL}", "messages": messages, "tools": [SCHEMA], "stream": stream}

    def complete():
        response = completion(**request, api_base=base_url, api_key="any")
        return (stream_chunk_builder(list(response)) if stream else response).choices[0].message

    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        while (message := complete()).tool_calls:
            messages.append(message)
            run_calls(messages, message.tool_calls)
        messages.append(message)
        answers.append(message.content)
    return answers


def llm(base_url: str, *, stream: bool) -> list[str]:
    entry = {"model_id": MODEL, "model_name": MODEL, "api_base": base_url, "supports_tools": True}
    Path(os.environ["LLM_USER_PATH"], "extra-openai-models.yaml").write_text(json.dumps([entry]))  # JSON is YAML

    import llm

    conversation = llm.get_model(MODEL).conversation(tools=[weather])
    return [conversation.chain(question, stream=stream).text() for question in QUESTIONS]


def dsnb(base_url: str, *, stream: bool) -> list[str]:
    import dsnb

    ds = dsnb.connect(base_url, "any", quiet=True)
    chat, answers = ds.conversation(tools=[weather], model=MODEL), []
    for question in QUESTIONS:
        if stream:
            answers.append("".join(event.text for event in chat.stream(question) if event.type == "answer"))
        else:
            answers.append(chat.ask(question, render=None, stream=False).answer)
    return answers


CLIENTS = {
    "openai": openai,
    "pydantic-ai-slim": pydantic_ai,
    "langchain-deepseek": langchain_deepseek,
    "litellm": litellm,
    "llm": llm,
    "dsnb": dsnb,
}


def main() -> None:
    name, base_url, *rest = sys.argv[1:]
    sys.addaudithook(on_loopback_only)
    answers, error = [], ""
    try:
        answers = CLIENTS[name](base_url, stream="stream" in rest)
    except Exception as caught:
        error = f"{type(caught).__name__}: {caught}"
    said = {"version": version(name), "answers": answers, "error": error, "called": called, "refused": refused}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
