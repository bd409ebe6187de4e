"""Notebook cells as pages: figures with alt text, claims, explorables, folded code."""

import html
import posixpath
import re
from pathlib import Path
from urllib.parse import quote

from docutils import nodes
from myst_nb.core.render import NbElementRenderer
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.images import get_image_size

LOGGER = logging.getLogger(__name__)
CLAIM = re.compile(r"""\bclaim\(\s*(?:id\s*=\s*)?["'](\d+\.\d+[a-z]?)["']""")
EXPLORE = re.compile(
    r"""<script\s[^>]*\bdata-explore=["']([\w-]+)["'][^>]*>.*?</script>""", re.DOTALL
)
EMPTY_HEADER = re.compile(r"<th([^>]*)>\s*</th>")
FILE_NAME = re.compile(r"\.(png|jpe?g|svg|gif)$", re.IGNORECASE)
FOLDED = {
    "source": "Code",
    "content": "Code and output",
    "output": "Output",
    "outputs": "Output",
}
COLAB = "https://colab.research.google.com/"
OWN_MIME = "application/vnd.attnbook."

render_image = NbElementRenderer.render_image
render_unhandled = NbElementRenderer.render_unhandled


def render_figure(renderer, data):
    """Add the alt text that the plotting helpers store with the picture."""
    images = render_image(renderer, data)
    stored = data.output_metadata.get(data.mime_type, {})
    for image in images:
        if alt := stored.get("alt"):
            image["alt"] = alt
        if "keep-colours" in data.cell_metadata.get("tags", []):
            image["classes"].append("keep-colours")
    return images


def render_other(renderer, data):
    """Leave out our own data; any other unknown kind of output stays a warning."""
    if data.mime_type.startswith(OWN_MIME):
        return []
    return render_unhandled(renderer, data)


def name_claims(app, doctree):
    """Give each cell that confirms a claim the id that the ledger links to."""
    metadata = app.env.metadata[app.env.docname]
    for cell in doctree.findall(_is_cell):
        source = next(cell.findall(_is_source), None)
        for claim in CLAIM.findall(source.astext() if source else ""):
            name = f"claim-{claim}"
            if name in doctree.ids:
                LOGGER.warning("claim %s is made twice", claim, location=cell)
                continue
            cell["ids"].append(name)
            doctree.ids[name] = cell
            slugs = metadata.setdefault("myst_slugs", {})
            slugs[name] = (cell.line, name, f"Claim {claim}")


def prepare_code(app, doctree):
    """Colour a cell's code as IPython's; fold set-up and name folded solutions."""
    for cell in doctree.findall(_is_cell):
        if "tag_setup" in cell["classes"]:
            cell["hide_mode"] = "input"
            cell["prompt_show"] = cell["prompt_hide"] = "Set-up"
        if "tag_solution" in cell["classes"]:
            cell["prompt_show"] = "Solution"
        for source in cell.findall(_is_source):
            # notebooks say "python", in which %pip and ! would be errors
            for block in source.findall(nodes.literal_block):
                block["language"] = "ipython3"


def take_out_badges(app, doctree):
    """Take out a chapter's own line to Colab, which each page has at its top."""
    for link in list(doctree.findall(nodes.reference)):
        line = link.parent
        if link.get("refuri", "").startswith(COLAB) and (
            line.astext().strip() == link.astext()
        ):
            line.parent.remove(line)


def take_out_scripts(app, doctree):
    """Replace the inline scripts of explorables by files, and repair tables."""
    names = []
    for raw in doctree.findall(nodes.raw):
        if raw.get("format") != "html":
            continue
        text = raw.astext()
        names += EXPLORE.findall(text)
        text = EMPTY_HEADER.sub(r"<td\1></td>", EXPLORE.sub("", text))
        if text != raw.astext():
            raw.children = [nodes.Text(text)]
            raw.rawsource = text
    scripts = list(dict.fromkeys(names))
    for name in scripts:
        if not explore_file(app, name).exists():
            LOGGER.warning("no explorable %s", name, location=app.env.docname)
    app.env.metadata[app.env.docname]["explore"] = scripts


def explore_file(app, name: str) -> Path:
    """Return where an explorable's script lies in the package."""
    return Path(app.srcdir, "src/attnbook/explore", f"{name}.js")


class CheckAlt(SphinxPostTransform):
    """Refuse pictures that say nothing to people who cannot see them."""

    default_priority = 300
    formats = ("html",)

    def run(self, **kwargs):
        """Warn about each picture without alt text."""
        for image in self.document.findall(nodes.image):
            alt = image.get("alt", "").strip()
            if not alt or FILE_NAME.search(alt):
                LOGGER.warning("figure without alt text", location=image)


def visit_image(translator, node):
    """Write a picture with its size, so that the page does not jump."""
    builder = translator.builder
    uri = node["uri"]
    width, height = _size(node, Path(builder.srcdir, uri))
    if uri in builder.images:
        uri = posixpath.join(builder.imgpath, quote(builder.images[uri]))
    attributes = {"src": uri, "alt": node.get("alt", "")}
    if width and height:
        attributes |= {"width": width, "height": height}
    attributes |= {"loading": "lazy", "decoding": "async"}
    if node["classes"]:
        attributes["class"] = " ".join(node["classes"])
    text = " ".join(f'{k}="{html.escape(str(v))}"' for k, v in attributes.items())
    translator.body.append(f"<img {text}>")


def depart_image(translator, node):
    """Pictures have no end tag."""


def _size(node, path: Path) -> tuple[int, int]:
    """Return the size to show: as asked for, else the file's own."""
    pixels = get_image_size(path) if path.exists() else None
    asked = [re.match(r"\d+", node.get(side, "")) for side in ("width", "height")]
    width, height = (int(found[0]) if found else 0 for found in asked)
    if not pixels or (width and height):
        return width, height
    ratio = pixels[1] / pixels[0]
    if width:
        return width, round(width * ratio)
    if height:
        return round(height / ratio), height
    return pixels


def visit_fold(translator, node):
    """Write folded code as a plain disclosure, named by what it holds."""
    name = FOLDED.get(node["prompt_show"], node["prompt_show"])
    translator.body.append(
        f'<details class="ab-fold"><summary>{html.escape(name)}</summary>\n'
    )


def depart_fold(translator, node):
    """Close folded code."""
    translator.body.append("</details>\n")


def _is_cell(node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def _is_source(node) -> bool:
    return (
        isinstance(node, nodes.container)
        and node.get("nb_element") == "cell_code_source"
    )


def setup(app):
    """Register what happens to cells and pictures."""
    NbElementRenderer.render_image = render_figure
    NbElementRenderer.render_unhandled = render_other
    app.connect("doctree-read", name_claims)
    app.connect("doctree-read", prepare_code)
    app.connect("doctree-read", take_out_badges)
    app.connect("doctree-read", take_out_scripts)
    app.add_post_transform(CheckAlt)
    app.add_node(nodes.image, override=True, html=(visit_image, depart_image))
    app.add_node(HideCodeCellNode, override=True, html=(visit_fold, depart_fold))
