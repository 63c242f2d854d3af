"""The page of --dev-console in a real browser: floods, hostile text, phones, keyboards and screen readers."""

import pytest
from selenium.webdriver.common.keys import Keys

OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
TO_END = "const l = document.getElementById('log'); return l.scrollHeight - l.clientHeight - l.scrollTop"


HOSTILE = [
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "</div></template><svg onload=document.title='owned'>",
    "javascript:alert(1) &lt;b&gt; ${1+1} {{1+1}}",
]


def test_text_is_only_ever_text(console):
    page = console()
    peer = page.connect()
    for text in HOSTILE:
        peer.send(text.encode() + b"\n")
    page.shows(*HOSTILE)
    peer.send("\x1b[31mred\x07 \u202egnp.exe\x7f\r\rx\n".encode())
    page.shows("\\x1b[31mred\\x07 \u202egnp.exe\\x7f\\r\\rx")
    page.send(HOSTILE[0])
    page.shows(HOSTILE[0], kind="up")
    assert page.script("return document.querySelectorAll('#log img, #log script, #log svg').length") == 0
    assert page.driver.title == "/chat – wsrelay console"
    assert page.complaints() == []


def test_a_long_line_is_shown_in_part(console):
    page = console()
    peer = page.connect()
    peer.send(b"y" * 1_000_000 + b"\n")
    page.wait(lambda: page.rows("down"), "the line")
    assert page.rows("down") == ["y" * 4096 + "… and 995,904 more characters, which Save writes too"]


BEAT = """
window.longest = 0;
let last = performance.now();
setInterval(() => {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
}, 10);
"""


def test_fifty_thousand_lines_do_not_freeze_it(console):
    page = console()
    peer = page.connect()
    page.script(BEAT)
    lines = [f"line {n} of many, as long as people's lines are" for n in range(50_000)]
    peer.send("".join(line + "\n" for line in lines).encode())
    page.counts("50,000 received")
    page.shows(*lines[-3:])
    assert page.script("return longest") < 1500, "ms without a turn for anything else"
    assert page.script("return document.getElementById('log').childElementCount") == 2000
    assert page.script(TO_END) < 2
    page.filter("line 123 ")
    page.shows(lines[123])
    assert page.script(
        """const [{ Store }, { file }] = await Promise.all(
             ['store', 'text'].map((name) => import(`/.wsrelay/console/${name}.js`)));
           const store = new Store();
           for (let n = 0; n < 250_000; n += 1) store.add('down', String(n));
           const text = await file(store, 'ws://test/').text();
           const saved = text.trimEnd().split('\\n');
           return [saved.length, saved[0].replace(/saved \\S+/, 'saved'), saved[1].slice(25), saved.at(-1).slice(25)];"""
    ) == [200_001, "# ws://test/, saved 250000 received, 0 sent; the first 50000 are not kept", "< 50000", "< 249999"]


def test_who_looks_back_is_left_in_peace(console):
    page = console(height=480)
    peer = page.connect()
    peer.send(b"".join(b"line %d\n" % n for n in range(200)))
    page.shows("line 199")
    page.wait(lambda: page.script(TO_END) < 2, "the end")
    page.script("document.getElementById('log').scrollTop = 40")
    page.wait(lambda: page.script(TO_END) > 100, "the scrolling")
    peer.send(b"more\n")
    page.wait(lambda: page.find("newer").is_displayed(), "the button")
    assert page.script("return document.getElementById('log').scrollTop") == 40
    page.find("newer").click()
    page.shows("more")
    page.wait(lambda: page.script(TO_END) < 2, "the end")


def test_screen_readers_are_told_in_measure(console):
    page = console()
    page.script("""window.told = [];
        new MutationObserver(() => told.push(document.getElementById('spoken').textContent))
          .observe(document.getElementById('spoken'), { childList: true });""")
    peer = page.connect()
    peer.send(b"alone\n")
    told = lambda: page.script("return told")
    page.wait(lambda: told() == ["Connecting…", "Connected", "alone"], "the line")
    peer.send(b"".join(b"%d\n" % n for n in range(1000)))
    page.wait(lambda: told()[3:] == ["1000 lines received"], "their number")
    assert page.find("log").get_attribute("aria-live") == "off"


def test_the_keyboard_is_enough(console):
    page = console()
    assert page.focused == "connect"
    page.press(Keys.ENTER)
    peer = page.backend.accept()
    page.wait_state("Connected$")
    assert page.focused == "line"
    page.press("typed only", Keys.ENTER)
    assert peer.line() == b"typed only\n"
    peer.send(b"answer\n")
    page.shows("answer")
    page.script("document.activeElement.blur(); document.getElementById('protocols').focus()")
    order = []
    for _ in range(9):
        name, style, width = page.script(
            """const e = document.activeElement, s = getComputedStyle(e);
               return [e.id || e.textContent, s.outlineStyle, parseFloat(s.outlineWidth)]""")
        assert style != "none" and width >= 2, f"{name} does not show that it has the focus"
        order.append(name)
        page.press(Keys.TAB)
    assert order == ["protocols", "connect", "close", "filter", "pause", "save", "clear", "log", "line"]
    page.script("document.getElementById('close').focus()")
    page.press(Keys.SPACE)
    page.wait_state("^Closed by you")
    assert page.focused == "connect"


@pytest.mark.parametrize("width, height", [(320, 568), (360, 740), (740, 360), (320, 256)])
def test_a_phone_is_enough(console, width, height):
    page = console("--binary", width=width, height=height, path="/a-path-without-a-break-" + "x" * 80)
    assert page.script(OVERFLOW) == 0
    peer = page.connect()
    page.send("up" * 200)
    peer.send(bytes(range(256)))
    page.wait(lambda: page.rows("down"), "the bytes")
    assert page.script(OVERFLOW) == 0
    assert page.script("const l = document.getElementById('log'); return l.scrollWidth - l.clientWidth") == 0
    assert page.find("log").size["height"] >= 120
    page.find("close").click()
    page.wait_state("^Closed by you")
    assert page.script(OVERFLOW) == 0


@pytest.mark.parametrize("width, dark", [(1000, False), (1000, True), (360, False), (360, True)])
def test_axe_finds_nothing(console, width, dark, axe):
    page = console(width=width, dark=dark)
    peer = page.connect()
    page.send("up")
    peer.send(b"down\n\n")
    page.shows("down", "")
    page.find("pause").click()
    peer.send(b"newer\n")
    page.wait(lambda: page.find("newer").is_displayed(), "the button")
    for then in ["", "reset"]:
        if then:
            page.find("pause").click()
            peer.reset()
            page.wait_state("^Closed: 1011")
            page.send("not sent")
            page.find("protocols").send_keys("a b", Keys.ENTER)
        assert axe(page.driver) == []
    assert page.complaints() == []
