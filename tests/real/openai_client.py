#!/usr/bin/env python3
"""Uses a service with the unmodified `openai` client and prints what it saw, as one JSON object on stdout.

usage: tests/real/openai BASE_URL COMMAND [--model NAME] [--tokens N] [--count N]

BASE_URL is without /v1, for example http://127.0.0.1:8000. Commands:
  models    {"models": [id...]}
  chat      one chat completion in one piece
  stream    one streamed chat completion with usage
  complete  one completion of the older endpoint
  embed     two embeddings
  hangup    streams, closes after the first event and says so
  streams   --count streams at once: {"ok", "failed", "truncated", "errors"}
  errors    an unknown model and a request without messages: status and error of each
  all       models, chat, stream, complete, errors
Without --model the first model listed is used. Exit code 0 when every call ended as it should, else 1 with "error".
"""

import argparse
import json
import sys
import threading
import time

import openai

MESSAGES = [{"role": "user", "content": "Say something."}]


def parse_arguments():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("base_url")
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("--model")
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--count", type=int, default=8)
    return parser.parse_args()


def options(arguments):
    """What every generating call says; `ignore_eos` makes real engines go on to the last token."""
    return {"model": arguments.model, "max_tokens": arguments.tokens, "extra_body": {"ignore_eos": True}}


def models(client, arguments):
    return {"models": [model.id for model in client.models.list()]}


def chat(client, arguments):
    answer = client.chat.completions.create(messages=MESSAGES, **options(arguments))
    choice = answer.choices[0]
    return {
        "model": answer.model,
        "content": choice.message.content,
        "finish_reason": choice.finish_reason,
        "usage": answer.usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}),
    }


def stream(client, arguments):
    started, first_s, content, finish, usage, events = time.monotonic(), None, "", None, None, 0
    answer = client.chat.completions.create(
        messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **options(arguments)
    )
    for chunk in answer:
        events += 1
        usage = chunk.usage or usage
        for choice in chunk.choices:
            if choice.delta.content and first_s is None:
                first_s = time.monotonic() - started
            content += choice.delta.content or ""
            finish = choice.finish_reason or finish
    if finish is None:
        raise RuntimeError(f"the stream ended after {events} events without a finish reason")
    return {
        "events": events,
        "content": content,
        "finish_reason": finish,
        "completion_tokens": usage.completion_tokens if usage else None,
        "first_token_s": round(first_s, 4) if first_s is not None else None,
        "total_s": round(time.monotonic() - started, 4),
    }


def complete(client, arguments):
    answer = client.completions.create(prompt="Once upon a time", **options(arguments))
    return {"text": answer.choices[0].text, "finish_reason": answer.choices[0].finish_reason}


def embed(client, arguments):
    answer = client.embeddings.create(model=arguments.model, input=["north", "south"])
    vectors = [item.embedding for item in answer.data]
    lengths = [round(sum(x * x for x in vector) ** 0.5, 4) for vector in vectors]
    return {"vectors": len(vectors), "dimensions": len(vectors[0]), "lengths": lengths}


def hangup(client, arguments):
    answer = client.chat.completions.create(messages=MESSAGES, stream=True, **options(arguments))
    first = next(iter(answer))
    answer.close()
    client.close()
    return {"closed_after": first.id}


def streams(client, arguments):
    counts, lock = {"ok": 0, "failed": 0, "truncated": 0}, threading.Lock()
    reasons = []

    def one():
        try:
            seen = stream(client, arguments)
            kind = "ok" if seen["completion_tokens"] in (None, arguments.tokens) else "truncated"
            reason = None
        except Exception as error:  # every way to fail is a result here
            kind, reason = "failed", f"{type(error).__name__}: {error}"
        with lock:
            counts[kind] += 1
            if reason and len(reasons) < 5:
                reasons.append(reason)

    threads = [threading.Thread(target=one) for _ in range(arguments.count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {**counts, "errors": reasons}


def errors(client, arguments):
    seen = {}
    calls = {
        "unknown_model": {"model": "no-such-model", "messages": MESSAGES},
        "no_messages": {"model": arguments.model, "messages": []},
    }
    for name, call in calls.items():
        try:
            client.chat.completions.create(**call)
            seen[name] = {"status": 200}
        except openai.APIStatusError as error:
            body = error.body if isinstance(error.body, dict) else {}
            seen[name] = {"status": error.status_code, "class": type(error).__name__, **body}
    return seen


COMMANDS = {f.__name__: f for f in (models, chat, stream, complete, embed, hangup, streams, errors)} | {"all": None}


def main():
    arguments = parse_arguments()
    client = openai.OpenAI(base_url=f"{arguments.base_url}/v1", api_key="none", max_retries=0, timeout=60)
    try:
        if arguments.model is None:
            arguments.model = client.models.list().data[0].id
        names = ["models", "chat", "stream", "complete", "errors"] if arguments.command == "all" else [arguments.command]
        seen = {name: COMMANDS[name](client, arguments) for name in names}
        result, code = (seen if arguments.command == "all" else seen[arguments.command]), 0
    except Exception as error:
        result, code = {"error": f"{type(error).__name__}: {error}"}, 1
    if result.get("failed") or result.get("truncated"):
        code = 1
    print(json.dumps(result))
    sys.exit(code)


main()
