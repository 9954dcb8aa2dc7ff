"""What a test wants to know of a page."""

from html.parser import HTMLParser

EMPTY = {"meta", "link", "br", "img", "input", "hr", "path", "rect", "circle"}


class Page(HTMLParser):
    """Parses strictly enough to notice tags that do not close, and collects what is on the page."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attributes)))
        if tag not in EMPTY - {"rect", "circle", "path"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open[-1] == tag, (self.open, tag)
        self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def values(self, *names):
        return [value for _, attributes in self.attributes for name, value in attributes.items() if name in names]
