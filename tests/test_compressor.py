"The compressor as a user has it: another process, no network, nothing heavy loaded, whatever texts come."
import json
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tokcomp.cards import read_card, shipped_folder
from tokcomp.compressor import Compressor
from tokcomp.example import untrained_weights
from tokcomp.steering import Steering
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


def test_choosing_the_weights_reads_no_base_model(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKCOMP_CACHE", str(tmp_path))
    ask = "from tokcomp import Compressor; print(Compressor.from_pretrained().folder.name, 'huggingface_hub' in sys.modules)"
    assert python(ask).split() == ["nano", "False"]
    (tmp_path/"models"/"smollm2-135m").mkdir(parents=True)
    (tmp_path/"models"/"smollm2-135m"/"source.json").write_text("{}")      # written last: the folder is put there whole
    assert python(ask).split() == ["cpu", "False"]


def test_the_command_reads_and_writes_pipes(weights):
    text = "The cat saw the mouse, and went home because it was late.\n" * 20
    command = "from tokcomp.cli import main; sys.exit(main(sys.argv[1:]))"
    short = python(command, "compress", "--model", weights, "--keep-rate", .4, stdin=text)
    assert short == Compressor(weights).compress(text, .4).text
    assert python(command, "restore", "--model", weights, "--max-insertions", 0, stdin=short) == short


def test_restoring_leaves_the_words_that_were_kept_as_they_are():
    short = ["server supports encrypt rest session If provide keyfile certfile parameters identity SMTP server client checked",
             "LMTP protocol similar ESMTP standard client use Unix sockets connect() support host:port local_hostname source_address",
             "sum international effort: waging peace with great sense dedication urgency ever mustered defense country"]
    for text, restored in zip(short, Compressor.from_pretrained("nano").restore(short)):
        words = iter(re.findall(r"\w+", restored))
        assert all(word in words for word in re.findall(r"\w+", text)), restored
        assert len(restored) > len(text)


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
        except BudgetError:
            assert "\n" in text                           # nothing else has to stay
            continue
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


def test_what_ships_is_in_the_package_that_is_installed(tmp_path):
    assert {"cpu", "nano"} <= {*SHIPPED}
    root = shipped_folder().parent.parent
    for o in ("setup.py", "settings.ini", "pyproject.toml", "README.md"): shutil.copy2(root / o, tmp_path)
    shutil.copytree(root / "tokcomp", tmp_path / "tokcomp", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", tmp_path / "out", tmp_path], check=True)
    names = set(zipfile.ZipFile(next((tmp_path / "out").glob("*.whl"))).namelist())
    assert {o.relative_to(root).as_posix() for o in shipped_folder().glob("*/*")} <= names


@pytest.mark.parametrize("here, name", [(True, "cpu"), (False, "nano")])
def test_without_a_name_the_best_that_can_restore_here(monkeypatch, here, name):
    monkeypatch.setattr("tokcomp.compressor.base_is_here", lambda card: here or card.base_sha256 is None)
    assert Compressor.from_pretrained().folder.name == name


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


# a paragraph each, of other texts than the guard was tuned on
FOREIGN = {
    "german": "Am nächsten Morgen ging der alte Mann wieder hinunter zum Hafen und wartete dort auf seinen Freund. Die Fischer hatten ihre Netze "
              "schon geflickt, und niemand sprach über den Sturm der vergangenen Nacht, obwohl zwei Boote nicht zurückgekommen waren.",
    "french": "Le lendemain matin, le vieil homme descendit de nouveau vers le port et attendit son ami. Les pêcheurs avaient déjà réparé leurs "
              "filets et personne ne parlait de la tempête de la nuit passée, bien que deux bateaux ne fussent pas revenus.",
    "spanish": "A la mañana siguiente, el viejo volvió a bajar al puerto y esperó allí a su amigo. Los pescadores ya habían remendado sus redes y "
               "nadie hablaba de la tormenta de la noche anterior, aunque dos barcos no habían regresado todavía.",
    "italian": "La mattina dopo il vecchio scese di nuovo al porto e aspettò il suo amico. I pescatori avevano già rammendato le reti e nessuno "
               "parlava della tempesta della notte precedente, benché due barche non fossero ancora tornate.",
    "dutch": "De volgende ochtend liep de oude man weer naar de haven en wachtte daar op zijn vriend. De vissers hadden hun netten al hersteld en "
             "niemand sprak over de storm van de afgelopen nacht, hoewel twee boten nog niet waren teruggekeerd.",
    "portuguese": "Na manhã seguinte, o velho desceu outra vez até ao porto e esperou ali pelo amigo. Os pescadores já tinham consertado as redes e "
                  "ninguém falava da tempestade da noite anterior, embora dois barcos ainda não tivessem voltado.",
    "russian": "На следующее утро старик снова спустился к гавани и стал ждать своего друга. Рыбаки уже починили сети, и никто не говорил о буре.",
    "chinese": "第二天早上,老人又走到港口等他的朋友。渔民们已经补好了网,虽然有两条船没有回来,但没有人谈论昨夜的风暴。",
}
ENGLISH = {
    "story": "The next morning the old man went down to the harbour again and waited there for his friend. The fishermen had already mended their "
             "nets, and nobody spoke about the storm of the night before, although two boats had not come back.",
    "manual": "If the gradient checkpointing option is enabled, intermediate activations are recomputed during the backward pass instead of being "
              "stored, which reduces peak memory at the cost of roughly one additional forward pass per training step.",
    "speech": "So I think what we'd want to say is, yes, we accept that, but could you tell us a bit more about how you got there, because I'm not "
              "sure that everyone around this table has seen the figures, and I'd like to come back to it later.",
}


@pytest.mark.parametrize("name", SHIPPED)
def test_guard_knows_languages(name):
    c = Compressor.from_pretrained(name)
    kept = {k: c.compress(o).whole for k, o in FOREIGN.items()}
    assert all(o and "language" in o for o in kept.values()), kept
    assert {k: c.compress(o).whole for k, o in ENGLISH.items()} == dict.fromkeys(ENGLISH)
    assert {k: Steering(c, o).whole for k, o in (FOREIGN | ENGLISH).items()} == kept | dict.fromkeys(ENGLISH)   # what the widget says


CHARACTERS = st.text(st.one_of(st.sampled_from(list("abc xyz,.!\n\r\t\x00 \u200b\u200d\u0301é中ก็שא👍🏽🇩🇪❤\ufe0f")), st.characters(exclude_categories=["Cs"])), max_size=120)
SLOW = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def c(weights):
    return Compressor(weights)


def test_any_text_and_target(c):
    @SLOW
    @given(CHARACTERS, st.integers(0, 60), st.booleans())
    def check(text, target, whole_words):
        count = lambda o: len(c.encode(o)[0])
        try: r = c.compress(text, target_tokens=target, whole_words=whole_words, guard=False)
        except BudgetError:
            # what has to stay by itself is too long: line breaks
            assert target < count(text) and ("\n" in text or "\r" in text)
            return
        assert count(r.text) <= target and r.original == text and "".join(r.expand(o) for o in r.spans) == text
        assert r.text == text or count(text) > target
    check()


def test_any_protected_stretch_stays(c):
    @SLOW
    @given(CHARACTERS, CHARACTERS, st.text("abz 9-", min_size=1, max_size=12), st.floats(0, 1))
    def check(before, after, held, rate):
        try: r = c.compress(before + held + after, rate, keep=[held], guard=False)
        except BudgetError: return
        assert r.text.count(held) >= r.original.count(held) and all(r.parts([slice(o.start, o.end)]) == [held] for o in r.protected)
    check()


def test_any_chunks_stream_like_one_text(c):
    @SLOW
    @given(CHARACTERS, st.integers(1, 400), st.lists(st.integers(1, 5000), min_size=1, max_size=5), st.floats(-2, 2))
    def check(text, times, sizes, threshold):
        text, chunks, at = (text + " word")*times, [], 0
        while at < len(text):
            chunks.append(text[at:at + sizes[len(chunks) % len(sizes)]])
            at += len(chunks[-1])
        whole = c.compress(text, threshold=threshold, guard=False).text
        assert "".join(o.text for o in c.stream(chunks, threshold=threshold)) == whole
    check()


@pytest.mark.parametrize("text", ["a\r\nb\rc\nd " * 20, "\x00" * 50, "שלום עולם, זה מבחן. " * 8, "e\u0301a\u0308 " * 30, "👍🏽 ❤\ufe0f\u200d🔥 🇩🇪 " * 10,
                                  "\u0301" * 40, " " * 100, "\u3000\u2028" * 20, "x"])
def test_odd_texts(c, text):
    import regex
    for whole_words in (True, False):
        for rate in (0, .3, .7, 1):
            try: r = c.compress(text, rate, whole_words=whole_words, guard=False)
            except BudgetError: continue
            assert "".join(r.expand(o) for o in r.spans) == text
            assert [r.text.count(o) for o in "\r\n"] == [text.count(o) for o in "\r\n"]
            # what a reader sees as one character was not cut
            edges = {o.start() for o in regex.finditer(r"\X", text)} | {len(text)}
            assert all(o.start in edges for o in r.spans if "\r" not in text)


def test_ten_megabytes_without_a_blank(c):
    r = c.compress("abcdefgh0123" * 850_000, .5, guard=False)
    assert r.n_kept == round(.5 * r.n_tokens) and len(r.original) == 10_200_000
