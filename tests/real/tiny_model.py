#!/usr/bin/env python3
"""Writes a llama model of 111,000 random weights (450 kB) as GGUF: `tiny_model.py FILE`.

It has a token for every byte, so that any prompt works. Its answers are noise; what is real is the server around it.
"""

import sys

import gguf
import numpy as np

WIDTH, INNER, LAYERS, HEADS, KV_HEADS, CONTEXT = 64, 128, 2, 4, 2, 2048
SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LETTERS = ["\u2581", *"etaoinshrdlcumwfgypbvkjxqz.,"]
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def write_vocabulary(writer):
    tokens = SPECIAL + BYTES + LETTERS
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * len(BYTES) + [gguf.TokenType.NORMAL] * len(LETTERS)
    scores = [0.0] * len(SPECIAL + BYTES) + [-float(rank) for rank in range(len(LETTERS))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token.encode() for token in tokens])
    writer.add_token_scores(scores)
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    return len(tokens)


def write_header(writer, vocabulary):
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(vocabulary)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def write_tensors(writer, vocabulary):
    random = np.random.default_rng(7)

    def norm(name):
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    def matrix(name, rows, columns):
        writer.add_tensor(name, (random.standard_normal((rows, columns)) * 0.05).astype(np.float32))

    kv_width = WIDTH // HEADS * KV_HEADS
    matrix("token_embd.weight", vocabulary, WIDTH)
    norm("output_norm.weight")
    matrix("output.weight", vocabulary, WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        norm(f"{block}.attn_norm.weight")
        norm(f"{block}.ffn_norm.weight")
        matrix(f"{block}.attn_q.weight", WIDTH, WIDTH)
        matrix(f"{block}.attn_k.weight", kv_width, WIDTH)
        matrix(f"{block}.attn_v.weight", kv_width, WIDTH)
        matrix(f"{block}.attn_output.weight", WIDTH, WIDTH)
        matrix(f"{block}.ffn_gate.weight", INNER, WIDTH)
        matrix(f"{block}.ffn_up.weight", INNER, WIDTH)
        matrix(f"{block}.ffn_down.weight", WIDTH, INNER)


def main():
    writer = gguf.GGUFWriter(sys.argv[1], "llama")
    vocabulary = write_vocabulary(writer)
    write_header(writer, vocabulary)
    write_tensors(writer, vocabulary)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
