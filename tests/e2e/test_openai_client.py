"""The official client against the server: what a program written for OpenAI's API expects of it."""

import math

import openai
import pytest

QUESTION = [{"role": "user", "content": "What is 2+2? Answer with number only"}]


@pytest.fixture(scope="module")
def client(smollm):
    return openai.OpenAI(base_url=f"{smollm.url}/v1", api_key="none", max_retries=0, timeout=120)


def chat(client, **changes):
    return client.chat.completions.create(
        **{
            "model": "smollm2-135m",
            "messages": QUESTION,
            "temperature": 0,
            "max_tokens": 16,
            **changes,
        }
    )


def test_lists_the_served_model(client):
    models = list(client.models.list())
    assert [model.id for model in models] == ["smollm2-135m"]
    assert models[0].object == "model"
    assert client.models.retrieve("smollm2-135m").id == "smollm2-135m"


def test_chat_answers_the_sum(client):
    answer = chat(client)
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "smollm2-135m"
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content == "2 + 2 = 4"
    assert choice.finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens >= 7


def test_stream_says_the_same_as_the_whole(client):
    whole = chat(client)
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)
    assert text == whole.choices[0].message.content
    reasons = [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason]
    assert reasons == ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.model_dump() == whole.usage.model_dump()
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_stream_without_usage_has_no_usage_chunk(client):
    chunks = list(chat(client, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_completion_continues_text(client):
    answer = client.completions.create(
        model="smollm2-135m", prompt="Once upon a", temperature=0, max_tokens=5
    )
    assert answer.object == "text_completion"
    assert answer.id.startswith("cmpl-")
    assert answer.choices[0].text
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


def test_completion_streams_the_same_text(client):
    arguments = {
        "model": "smollm2-135m",
        "prompt": "The sea is",
        "temperature": 0,
        "max_tokens": 12,
    }
    whole = client.completions.create(**arguments).choices[0].text
    pieces = [
        c.text
        for chunk in client.completions.create(**arguments, stream=True)
        for c in chunk.choices
    ]
    assert "".join(pieces) == whole
    assert len(pieces) > 1


def test_several_prompts_give_choices_in_their_order(client):
    prompts = ["One, two,", "Red, green,", "Monday, Tuesday,"]
    arguments = {"model": "smollm2-135m", "temperature": 0, "max_tokens": 4}
    together = client.completions.create(**arguments, prompt=prompts)
    assert [choice.index for choice in together.choices] == [0, 1, 2]
    alone = [client.completions.create(**arguments, prompt=p).choices[0].text for p in prompts]
    assert [choice.text for choice in together.choices] == alone


def test_echo_gives_the_prompt_back(client):
    arguments = {"model": "smollm2-135m", "prompt": "The sea is", "temperature": 0, "max_tokens": 3}
    plain = client.completions.create(**arguments).choices[0].text
    echoed = client.completions.create(**arguments, echo=True).choices[0].text
    assert echoed == "The sea is" + plain


def test_chat_logprobs_describe_every_token(client):
    choice = chat(client, logprobs=True, top_logprobs=3).choices[0]
    tokens = choice.logprobs.content
    # The last token may be the end of the turn, which has no text.
    assert "".join(t.token for t in tokens).startswith(choice.message.content)
    for token in tokens:
        assert len(token.top_logprobs) == 3
        values = [top.logprob for top in token.top_logprobs]
        assert values == sorted(values, reverse=True)
        assert math.fsum(math.exp(v) for v in values) <= 1 + 1e-4
        assert token.logprob <= 0
        assert token.logprob == values[0], "greedy takes the most probable"
        assert bytes(token.bytes).decode(errors="replace") == token.token


def test_completion_logprobs_have_openai_shape(client):
    answer = client.completions.create(
        model="smollm2-135m", prompt="A B C", temperature=0, max_tokens=4, logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    lengths = {
        len(logprobs.tokens),
        len(logprobs.token_logprobs),
        len(logprobs.top_logprobs),
        len(logprobs.text_offset),
    }
    assert lengths == {4}
    assert "".join(logprobs.tokens) == answer.choices[0].text
    assert all(len(top) >= 2 for top in logprobs.top_logprobs)


def test_n_gives_that_many_choices(client):
    answer = chat(client, n=3, temperature=1.0, seed=7, max_tokens=8)
    assert sorted(choice.index for choice in answer.choices) == [0, 1, 2]
    single = chat(client, n=1, temperature=1.0, seed=7, max_tokens=8)
    assert answer.usage.prompt_tokens == single.usage.prompt_tokens


def test_n_streams_every_choice(client):
    finished = {}
    for chunk in chat(client, n=2, temperature=1.0, seed=3, max_tokens=6, stream=True):
        for choice in chunk.choices:
            if choice.finish_reason:
                finished[choice.index] = finished.get(choice.index, 0) + 1
    assert finished == {0: 1, 1: 1}


def test_stop_string_ends_the_answer_before_it(client):
    choice = chat(client, stop=["="]).choices[0]
    assert choice.message.content == "2 + 2 "
    assert choice.finish_reason == "stop"


def test_stop_string_never_shows_in_a_stream(client):
    text = "".join(
        c.delta.content or ""
        for chunk in chat(client, stop=[" = 4"], stream=True)
        for c in chunk.choices
    )
    assert text == "2 + 2"


def test_max_tokens_ends_with_length(client):
    answer = chat(client, max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 2
    assert (
        chat(client, max_tokens=openai.NOT_GIVEN, max_completion_tokens=2).usage.completion_tokens
        == 2
    )


def test_seed_repeats_and_another_seed_differs(client):
    story = {
        "messages": [{"role": "user", "content": "Tell me a story."}],
        "temperature": 1.0,
        "max_tokens": 24,
    }
    first = chat(client, **story, seed=11).choices[0].message.content
    assert chat(client, **story, seed=11).choices[0].message.content == first
    others = {chat(client, **story, seed=seed).choices[0].message.content for seed in (12, 13, 14)}
    assert others != {first}


def test_top_k_one_is_greedy_at_any_temperature(client):
    greedy = chat(client).choices[0].message.content
    assert (
        chat(client, temperature=2.0, seed=5, extra_body={"top_k": 1}).choices[0].message.content
        == greedy
    )


def test_token_ids_are_returned_and_accepted(client):
    answer = client.completions.create(
        model="smollm2-135m",
        prompt="The sea is",
        temperature=0,
        max_tokens=3,
        extra_body={"return_token_ids": True},
    )
    choice = answer.choices[0]
    assert len(choice.token_ids) == 3
    again = client.completions.create(
        model="smollm2-135m", prompt=choice.prompt_token_ids, temperature=0, max_tokens=3
    )
    assert again.choices[0].text == choice.text


def test_wrong_value_is_a_bad_request_that_names_it(client):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, temperature=-1)
    body = caught.value.body
    assert body["param"] == "temperature"
    assert body["code"] == 400
    assert "temperature" in body["message"] and "-1" in body["message"]


def test_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        chat(client, model="no-such-model")
    assert "no-such-model" in caught.value.body["message"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_prompt_beyond_the_model_is_refused_with_its_length(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="smollm2-135m", prompt="word " * 30_000, max_tokens=1)
    assert any(character.isdigit() for character in caught.value.body["message"])


def test_unknown_fields_are_accepted(client):
    answer = chat(client, extra_body={"a_field_of_the_future": {"deep": [1, 2]}}, user="somebody")
    assert answer.choices[0].message.content == "2 + 2 = 4"


def test_cut_characters_are_never_emitted(client):
    """With one token an event, multi-byte characters must wait for all of their bytes."""
    chunks = chat(
        client,
        messages=[{"role": "user", "content": "Repeat: 日本語 🙂 žluťoučký kůň"}],
        max_tokens=40,
        temperature=1.5,
        seed=2,
        stream=True,
    )
    text = "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)
    whole = (
        chat(
            client,
            messages=[{"role": "user", "content": "Repeat: 日本語 🙂 žluťoučký kůň"}],
            max_tokens=40,
            temperature=1.5,
            seed=2,
        )
        .choices[0]
        .message.content
    )
    assert text == whole
