"The compressor as a user has it: another process, no network, nothing heavy loaded, whatever texts come."
import json
import subprocess
import sys

import numpy as np
import pytest
from tokcomp.cards import read_card, shipped_folder
from tokcomp.compressor import Compressor
from tokcomp.example import untrained_weights
from tokcomp.words import BudgetError

# sockets that raise: what would reach for the network fails loudly
NO_NETWORK = """
import socket, sys
def refuse(*args, **kwargs): raise AssertionError('the network was asked for')
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
"""
SHIPPED = sorted(o.parent.name for o in shipped_folder().glob("*/card.json"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return untrained_weights(tmp_path_factory.mktemp("weights") / "untrained")


def python(code, *args, stdin=""):
    done = subprocess.run([sys.executable, "-c", NO_NETWORK + code, *map(str, args)], input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy():
    loaded = python("import tokcomp, json; print(json.dumps(sorted(sys.modules)))")
    assert not {"torch", "numpy", "transformers"} & set(json.loads(loaded))


def test_compressing_loads_no_language_model_code_and_asks_no_network(weights):
    out = json.loads(python("""
import json
from tokcomp import Compressor
r = Compressor(sys.argv[1]).compress('The cat saw the mouse, and went home because it was late. ' * 20, .5)
print(json.dumps([r.n_kept, r.n_tokens, sorted({o.partition('.')[0] for o in sys.modules})]))""", weights))
    assert out[0] == round(out[1] / 2)
    assert not {"transformers", "peft", "datasets", "pandas", "huggingface_hub"} & set(out[2])


def test_the_command_reads_and_writes_pipes(weights):
    text = "The cat saw the mouse, and went home because it was late.\n" * 20
    command = "from tokcomp.cli import main; sys.exit(main(sys.argv[1:]))"
    short = python(command, "compress", "--model", weights, "--keep-rate", .4, stdin=text)
    assert short == Compressor(weights).compress(text, .4).text
    assert python(command, "restore", "--model", weights, "--max-insertions", 0, stdin=short) == short


def test_budgets_are_exact_over_many_random_texts(weights):
    c, rng = Compressor(weights), np.random.default_rng(0)
    words = "cat dog, house. went\n home (late) \"x\" 0:30 é 中文 😀 don't a-b --".split(" ")
    texts = [" ".join(rng.choice(words, rng.integers(1, 60))) for _ in range(1000)]
    for some, rate in zip(np.array_split(texts, 20), rng.uniform(0, 1, 20)):
        for text, r in zip(some, c.compress(list(some), float(rate), lines=False, whole_words=False, guard=False)):
            sizes = np.diff(np.flatnonzero(np.append(c.flags[c.encode(text)[0]] & 32 == 0, True)))
            assert r.original == text and 0 <= r.slack < max(sizes, default=1)
            if (sizes == 1).all(): assert r.slack == 0
    for text in texts[:100]:
        target = int(rng.integers(1, 40))
        try: r = c.compress(text, target_tokens=target, guard=False)
        except BudgetError: continue
        assert len(c.encode(r.text)[0]) <= target and r.slack >= 0


def test_protected_text_is_never_lost(weights):
    c, rng = Compressor(weights), np.random.default_rng(1)
    filler = "The cat saw the mouse, and did not go home because it was late. "
    for i in range(200):
        number, address = f"{rng.integers(1e9):,}", f"https://example.org/{rng.integers(1e6)}?q=a.b"
        text = filler * int(rng.integers(1, 4)) + f"Pay {number} at {address} now. " + filler * int(rng.integers(1, 4))
        r = c.compress(text, .5, kinds=["numbers", "urls", "negations"], guard=False)
        assert number in r.text and address in r.text and r.text.count(" not") == text.count(" not")


def test_a_million_tokens_in_one_text(weights):
    c = Compressor(weights)
    text = "The cat saw the mouse, and went home because it was late. " * 20_000
    r = c.compress(text, .3, guard=False)
    assert r.n_kept == round(.3 * r.n_tokens) and r.slack == 0
    assert "".join(o.text for o in c.stream([text], .3, r.threshold)) == c.compress(text, .3, threshold=r.threshold, guard=False).text


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_compresses_at_once_and_is_light(name):
    folder = shipped_folder() / name
    size = {o.name: o.stat().st_size / 1e6 for o in folder.glob("*.safetensors")}
    if name == "nano": assert sum(size.values()) <= 40
    else: assert size["reconstructor.safetensors"] <= 20
    card = read_card(folder)
    assert card.trained["sources"] and card.trained["validation"] and card.trained["calibration"]
    text = ("The committee met on Tuesday to discuss the state of the roads in the northern part of the county. It was agreed that "
            "the bridge over the river would not be repaired before the end of the year, because there was no money left for it.")
    r = Compressor.from_pretrained(name).compress(text, .6, kinds="negations")
    assert r.whole is None and r.n_kept == round(.6 * r.n_tokens) and " not" in r.text
    # articles go before the words that carry the meaning
    dropped = " ".join(r.expand(o) for o in r.spans if not o.kept).split()
    assert dropped.count("the") > text.split().count("the") / 2 and "bridge" in r.text and "repaired" in r.text
