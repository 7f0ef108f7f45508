"""Sphinx configuration; `build.py` beside it writes the pages that it reads"""
import os
project, author, copyright = 'tokcomp', 'the tokcomp authors', 'the tokcomp authors, Apache-2.0'
extensions = ['myst_nb']
html_theme, html_title = 'furo', 'tokcomp'
html_extra_path = ['extra']                       # the reports that the front page links to
html_static_path, html_css_files = ['style.css'], ['style.css']
html_show_sphinx = False
myst_enable_extensions = ['dollarmath', 'amsmath']
myst_heading_anchors = 3
nb_execution_mode = os.environ.get('TOKCOMP_DOCS_EXECUTE', 'cache')   # cache: again only what has changed; off: no outputs
nb_execution_cache_path = os.environ.get('TOKCOMP_DOCS_CACHE', '')
nb_execution_timeout, nb_execution_raise_on_error = 600, True
nb_execution_excludepatterns = ['runs/*']         # papermill's: what they show is in the reports
nb_merge_streams, nb_render_markdown_format = True, 'myst'
