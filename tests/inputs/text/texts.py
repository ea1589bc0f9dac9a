"""Texts of many scripts and oddities, and a vocabulary that knows some of their words, parts and characters."""

import random
import unicodedata
from itertools import chain

from tfkd.inputs.text import delimiters
from tfkd.inputs.text.tokenizer import words
from tfkd.inputs.text.vocabulary import CONTINUATION, SPECIAL, Vocabulary

LENGTH = 40

# Code points of scripts, symbols and what is easily mistaken: first and last.
BLOCKS = (
    *((0x21, 0x7E), (0x61, 0x7A), (0x41, 0x5A), (0x30, 0x39), (0x01, 0x1F), (0x7F, 0xA0), (0xA1, 0xFF)),
    *((0x100, 0x24F), (0x250, 0x2AF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x58F), (0x590, 0x5F4)),
    *((0x600, 0x6FF), (0x700, 0x74F), (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF), (0xE00, 0xE7F), (0xF00, 0xFFF)),
    *((0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137F), (0x13A0, 0x13FF), (0x1780, 0x17FF)),
    *((0x1800, 0x18AF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20CF)),
    *((0x2100, 0x214F), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2300, 0x23FF), (0x2460, 0x24FF), (0x2600, 0x27BF)),
    *((0x2E00, 0x2E7F), (0x2E80, 0x2FDF), (0x3000, 0x303F), (0x3040, 0x30FF), (0x3100, 0x318F), (0x31C0, 0x33FF)),
    *((0x33F0, 0x3410), (0x4DA0, 0x4E20), (0x9FE0, 0xA020), (0xA700, 0xA7FF), (0xAC00, 0xAC80), (0xD7A0, 0xD7FF)),
    *((0xE000, 0xE020), (0xF8F0, 0xF910), (0xFAF0, 0xFB4F), (0xFB50, 0xFDFF), (0xFE00, 0xFE6F), (0xFF00, 0xFFEF)),
    *((0xFFF0, 0xFFFF), (0x10000, 0x1007F), (0x10100, 0x1013F), (0x10300, 0x1034F), (0x10400, 0x1044F)),
    *((0x11000, 0x1107F), (0x11B00, 0x11B10), (0x12400, 0x1247F), (0x1D400, 0x1D4FF), (0x1F1E6, 0x1F1FF)),
    *((0x1F300, 0x1F64F), (0x1F900, 0x1F9FF), (0x1FF80, 0x20010), (0x2A6D0, 0x2A710), (0x2B730, 0x2B830)),
    *((0x2CEA0, 0x2CEC0), (0x2F7F0, 0x2F810), (0x2FA10, 0x2FA30), (0xE0000, 0xE007F), (0x10FFF0, 0x10FFFF)),
)
BETWEEN = (" ", " ", " ", "", "\t", "\n", "\r\n", "\v", "\f", "\x1c", "\x85", "\xa0", "\xad", "\u1680", "\u2003")
BETWEEN += ("\u200b", "\u200d", "\u2028", "\u202f", "\u2060", "\u3000", "\ufeff", "-", "'", ".", "…", "«", "、", "·")

ODD = (
    *(
        "",
        " ",
        "   ",
        "\t\n\r\f",
        "\v",
        "\xa0",
        "\u3000",
        "\ufeff",
        "\u200b",
        "\u00ad",
        "\ufffd",
        "\ufffe\uffff",
        "\x7f",
    ),
    *("Hello, World!", "  leading and trailing  ", "tab\tnew\nline\r\nreturn\rend", "no\vvertical", "form\ffeed"),
    *(
        "café CAFÉ Café",
        "cafe\u0301 CAFE\u0301",
        "naïve façade",
        "Ångström \u212b \u00c5 A\u030a",
        "ﬁne ﬂow",
        "ŉ ǆ ǅ Ǆ",
    ),
    *("İstanbul ISTANBUL ıstanbul istanbul", "straße STRASSE ẞ ß", "ΟΔΟΣ οδος οδοσ Σίσυφος ΣΊΣΥΦΟΣ", "DŽ Dž dž"),
    *(
        "great😀 😀great 😀",
        "👩‍👩‍👧‍👦 family",
        "👍🏽 thumbs",
        "🇩🇪🇫🇷",
        "❤️ ❤",
        "1️⃣2️⃣",
        "a\u200db",
        "x\ufe0fy",
        "\u202eabc\u202c",
    ),
    *(
        "日本語テスト",
        "中文測試text混合",
        "한국어 텍스트",
        "각 \u1100\u1161\u11a8",
        "สวัสดีครับ",
        "हिन्दी में",
        "مرحبا بالعالم؟",
        "שלום־עולם",
    ),
    *(
        "𠀀𠀁 word𠀀word 𪜀",
        "豈更 x豈y",
        "〇〡〢",
        "ｆｕｌｌ ＷＩＤＴＨ！",
        "①②③ ½ ²³",
        "٣٤٥ ३४५ 123",
        "１２３",
        "3.14 1,000 50% $5 5€ £5",
    ),
    *(
        "don't can’t it`s",
        "e-mail e–mail e—mail",
        "a_b a.b a/b a\\b a|b a~b a^b",
        "C++ C# .NET #hashtag @user",
        "#",
        "##",
        "###ing",
    ),
    *("[UNK] [CLS] [SEP] [PAD] [MASK]", "<unk> </s>", "##ing ##s", "http://example.com/?q=1&r=2", "user@example.com"),
    *("a" * 100, "a" * 101, "é" * 50, "é" * 50 + "a", "中" * 60, "ก" * 33, "ก" * 34, "😀" * 25, "😀" * 26, "-" * 120),
    *("x " * 100, "word" * 25, "word" * 26, "ab" * 49 + "é", "ab" * 49 + "éa", "A" * 100, "İ" * 50, "İ" * 51),
    *(
        "nul\0after",
        "\0",
        "a \0 b",
        "\x00\x00",
        "a\x01b",
        "bell\x07",
        "\x1b[31mred",
        "del\x7fete",
        "nel\x85x",
        "\x80\x9f",
    ),
    *(
        "¡hola! ¿qué?",
        "«guillemets» „quotes“ ‚x‘",
        "§ ¶ † ‡ • ‣",
        "°C ™ © ® ± × ÷",
        "← → ⇒ ∀ ∑ √ ∞",
        "─│┌ █ ▒",
        "♠♥ ☺ ✓ ✗",
    ),
)
BROKEN = (
    "\ud800",
    "\udfff",
    "a\ud83d",
    "\ude00b",
    "a\ud83d\ude00b",
    "\ude00\ud83d",
    "x\ud800y z",
    "\ud83d\ud83d\ude00 \udc00",
)
"""Texts with halves of surrogate pairs, as JSON can hold them."""


def texts() -> list[str]:
    """Returns more than 2,000 texts."""
    draw = random.Random(26)
    blocks = [_of_block(draw, *block) for block in BLOCKS for _ in range(20)]
    mixed = [draw.choice(BETWEEN).join(draw.choice(blocks)[:12] for _ in range(6)) for _ in range(400)]
    spelt = [unicodedata.normalize(draw.choice(("NFC", "NFD", "NFKC", "NFKD")), text) for text in mixed[:100]]
    return [*ODD, *blocks, *mixed, *spelt, *_edges()]


def vocabulary(texts: list[str]) -> Vocabulary:
    """Returns half of the characters, and some words and parts of words, of texts."""
    draw = random.Random(27)
    found = sorted({word for text in texts for word in words(text)})
    characters = sorted(set(chain.from_iterable(found)))
    pieces = {mark + each for each in characters for mark in ("", CONTINUATION) if draw.random() < 0.75}
    for word in found:
        start, end = sorted(draw.sample(range(len(word) + 1), 2))
        pieces.add((CONTINUATION if start else "") + word[start:end])
    return Vocabulary((*SPECIAL, *sorted(pieces)))


def _of_block(draw: random.Random, first: int, last: int) -> str:
    known = [chr(code) for code in range(first, last + 1)]
    few = draw.sample(known, min(5, len(known)))
    parts = ["".join(draw.choices(few, k=draw.randint(1, 5))) + draw.choice(BETWEEN) for _ in range(draw.randint(1, 6))]
    return "".join(parts)


def _edges() -> list[str]:
    """The first and the last delimiter of each range, and their neighbours."""
    codes = sorted({code + step for ends in delimiters.RANGES for code in ends for step in (-1, 0, 1)})
    around = [f"a{chr(code)}a " for code in codes]
    return ["".join(around[start : start + 9]) for start in range(0, len(around), 9)]
