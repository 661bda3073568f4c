"""The site: Sphinx, with Furo's theme. `make docs` builds it."""

import zslbench

project, author = "zslbench", "The zslbench authors"
version = release = zslbench.__version__
copyright = author

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nb_execution_mode = "off"  # a test plays the notebook and compares what it shows
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
# Figures of a study are drawn for papers too: as PDF, which no page shows.
exclude_patterns = ["**/*.pdf"]

highlight_language = "text"
smartquotes = False  # `--set` is no dash
default_role = "code"  # docstrings have names in single backticks

html_theme = "furo"
html_title = f"zslbench {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]
