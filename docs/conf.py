"""Sphinx: `make docs` builds the site from these pages and from the docstrings."""

import sys
from importlib import metadata
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import public_names  # noqa: E402  (beside this file)

project = "rtcpeer"
author = "the rtcpeer authors"
release = metadata.version("rtcpeer")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "rtcpeer"
html_theme_options = {"source_repository": "", "top_of_page_buttons": []}
exclude_patterns = ["_build"]

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "inherited-members": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# docstrings mark names of code with single backticks
default_role = "code"

nitpicky = True
# annotations name types of Python, PyAV and internal modules that have no page here
nitpick_ignore_regex = [("py:.*", ".*")]
suppress_warnings = ["myst.header", "misc.highlighting_failure", "ref.python"]

_SECTIONS = {"Args:", "Attributes:", "Raises:", "Returns:", "Yields:", "Example:", "Events:", "Note:"}


def _literal_blocks(app, what, name, obj, options, lines):
    """Docstrings show programs as indented blocks; reStructuredText wants ``::`` before them."""
    result, last = [], ""
    for index, line in enumerate(lines):
        begins = line.startswith("    ") and index > 0 and not lines[index - 1].strip()
        if begins and last and not last.startswith(" ") and last not in _SECTIONS and not last.endswith("::"):
            result += ["::", ""]
        result.append(line)
        if line.strip():
            last = line
    lines[:] = result


class PublicNames(SphinxDirective):
    """``.. public-names:: MODULE``: every name of the module that no other page shows."""

    required_arguments = 1

    def run(self):
        """The nodes of the names' autodoc directives."""
        names = public_names.generated(self.arguments[0])
        return self.parse_text_to_nodes("\n\n".join(public_names.directive(name) for name in names) + "\n")


def setup(app):
    """Sphinx calls this."""
    app.add_directive("public-names", PublicNames)
    app.connect("autodoc-process-docstring", _literal_blocks, priority=400)
