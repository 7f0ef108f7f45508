"""Build the site: every notebook a chapter, every module a page of its own, all internal links checked.

    python docs/build.py [--no-execute] [--output FOLDER]

Writes _docs/html. Notebooks are executed, since they are kept without outputs, and again only where they have changed.
"""
import argparse, inspect, json, os, re, shutil, subprocess, sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit
from nbdev.showdoc import show_doc

ROOT = Path(__file__).resolve().parent.parent
PARTS = {'Foundations': '0[0-2]', 'Models': '0[34]', 'Learning': '0[5-7]|08a?_', 'Compressing': '(08[b-z]|09)', 'Measuring': '1[0-3]|14a?_',
         'Around it': '14b|1[5-9]'}

def module_of(notebook): # -> name of the module that it exports to, or None
    found = re.search(r'#\| default_exp (\w+)', notebook)
    return found and found[1]

def html_links(source): # -> Markdown, with pictures and links in reports/ as HTML: those are no files of Sphinx's own
    source = re.sub(r'!\[([^]]*)\]\((reports/[^)]*)\)', r'<img src="\2" alt="\1">', source)
    return re.sub(r'\[`?([^]`]*)`?\]\((reports/[^)]*)\)', r'<a href="\2">\1</a>', source)

def chapter(path, chapters): # -> the notebook as the site shows it
    "Directives and hidden cells out, names of notebooks as links"
    notebook = json.loads(path.read_text(encoding='utf-8'))
    up, module, cells = '../'*(path.parent.name == 'runs'), None, []
    for cell in notebook['cells']:
        source = ''.join(cell['source'])
        module = module_of(source) or module
        if cell['cell_type'] == 'code':
            if re.search(r'^#\| *(hide|default_exp)\b', source, re.M): continue
            tags = cell['metadata'].setdefault('tags', [])
            if 'hide_input' in tags:                           # it writes prose
                tags.append('remove-input')
                source = html_links(source)
            source = re.sub(r'^#\|.*\n?', '', source, flags=re.M)
        else:
            def link(found): return f'[{found[0]}]({up}{found[1]}.ipynb)' if found[1] in chapters else found[0]
            source = re.sub(r'`nbs/((?:runs/)?\w+)`', link, source)
            source = re.sub(r'\]\(#([^)]*)\)', lambda o: f'](#{o[1].lower()})', source)                            # a heading's anchor
            source = html_links(source)
            for name in ('LICENSE', 'CONTRIBUTING.md', 'CHANGELOG.md'): source = source.replace(f']({name})', f']({name.removesuffix(".md").lower()}.md)')
        if source.strip(): cells.append({**cell, 'source': source})
    if module: cells.append(dict(cell_type='markdown', metadata={}, id='api', source=f'---\nReference: [`tokcomp.{module}`]({up}api/{module}.md)'))
    return {**notebook, 'cells': cells}, module

def reference(name, chapter_name): # -> Markdown
    "What a module exports, with every parameter's meaning"
    module = import_module(f'tokcomp.{name}')
    lines = [f'# tokcomp.{name}', '', module.__doc__ or '', '', f'Chapter: [{chapter_name}](../{chapter_name}.ipynb)', '']
    for symbol in module.__all__:
        value = getattr(module, symbol)
        lines += [f'## {symbol}', '']
        if not callable(value): lines += [f'```text\n{symbol} = {str(value)[:400]}\n```', '']; continue
        lines += [_shown(value), '']
        methods = inspect.getmembers(value, inspect.isfunction) if inspect.isclass(value) else []
        for n, o in methods:
            if n.startswith('_') or not o.__module__.startswith('tokcomp'): continue
            lines += [f'### {symbol}.{n}', '', _shown(o), '']
    return '\n'.join(lines)

def _shown(value): # the signature with its comments, and the first line of its documentation
    return re.sub(r'^---\n+#+ .*\n', '', show_doc(value)._repr_markdown_()).replace('\n\n```\n', '\n```\n').replace('```python\n\n', '```python\n')

def write_sources(site): # -> the folder that Sphinx reads
    source = site/'source'
    shutil.rmtree(source, ignore_errors=True)
    (source/'api').mkdir(parents=True); (source/'runs').mkdir()
    paths = sorted((ROOT/'nbs').glob('*.ipynb')) + sorted((ROOT/'nbs'/'runs').glob('*.ipynb'))
    names = {str(o.relative_to(ROOT/'nbs').with_suffix('')) for o in paths}
    modules = {}
    for path in paths:
        name = str(path.relative_to(ROOT/'nbs').with_suffix(''))
        found, module = chapter(path, names)
        if name == 'index': front = found
        else: (source/f'{name}.ipynb').write_text(json.dumps(found), encoding='utf-8')
        if module: modules[module] = name
    for module, name in modules.items(): (source/'api'/f'{module}.md').write_text(reference(module, name), encoding='utf-8')
    def tree(caption, entries): return '\n'.join(['```{toctree}', ':hidden:', f':caption: {caption}', '', *entries, '```'])
    left = sorted(names - {'index'})
    trees = []
    for part, pattern in PARTS.items():
        some = [o for o in left if re.match(pattern, o)]
        left = [o for o in left if o not in some]
        trees.append(tree(part, some))
    runs, rest = [o for o in left if o.startswith('runs/')], [o for o in left if not o.startswith('runs/')]
    if rest: raise SystemExit(f'docs: {rest} belong to no part of the site: add them to PARTS in docs/build.py')
    trees += [tree('What papermill runs', runs), tree('Reference', [f'api/{o}' for o in sorted(modules)]),
              tree('Project', ['contributing', 'changelog', 'license'])]
    front['cells'].append(dict(cell_type='markdown', metadata={}, id='tree', source='\n\n'.join(trees)))
    (source/'index.ipynb').write_text(json.dumps(front), encoding='utf-8')
    for name in ('CONTRIBUTING.md', 'CHANGELOG.md'): shutil.copy(ROOT/name, source/name.lower())
    (source/'contributing.md').write_text((ROOT/'CONTRIBUTING.md').read_text(encoding='utf-8').replace('](LICENSE)', '](license.md)'), encoding='utf-8')
    (source/'license.md').write_text('# License\n\n```text\n' + (ROOT/'LICENSE').read_text(encoding='utf-8') + '```\n', encoding='utf-8')
    for report in sorted((ROOT/'reports').glob('*/index.html')):
        shutil.copytree(report.parent, source/'extra'/'reports'/report.parent.name)
    for name in ('conf.py', 'style.css'): shutil.copy(ROOT/'docs'/name, source)
    return source

class Page(HTMLParser):
    "The links of a page, and the places that others may link to"
    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text(encoding='utf-8'))
    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs[o] for o in ('id', 'name') if attrs.get(o)}
        self.links += [attrs[o] for o in ('href', 'src') if attrs.get(o)]

def broken_links(html): # -> 'page: link' for each that leads nowhere
    "Follow every link within the site"
    pages = {o: Page(o) for o in sorted(html.rglob('*.html'))}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc: continue
            target = (path.parent/unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir(): target /= 'index.html'
            there = target.exists() and (not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].anchors)
            if not there: broken.append(f'{path.relative_to(html)}: {link}')
    return broken

def main():
    "Write, build, check"
    parser = argparse.ArgumentParser(description='Build the site')
    parser.add_argument('--no-execute', action='store_true', help='leave the notebooks without outputs: a minute instead of several')
    parser.add_argument('--output', type=Path, default=ROOT/'_docs', help='folder for the site in html/ and what it is made from')
    args = parser.parse_args()
    site = args.output.resolve()
    source, html = write_sources(site), site/'html'
    shutil.rmtree(html, ignore_errors=True)
    env = os.environ | dict(TOKCOMP_DOCS_EXECUTE='off' if args.no_execute else 'cache', TOKCOMP_DOCS_CACHE=str(site/'cache'), HF_HUB_OFFLINE='1')
    done = subprocess.run([sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', 'html', '-d', str(site/'doctrees'), str(source), str(html)], env=env)
    if done.returncode: raise SystemExit('docs: Sphinx found the faults above')
    if broken := broken_links(html): raise SystemExit('docs: links that lead nowhere:\n  ' + '\n  '.join(broken))
    print(f"docs: {sum(1 for _ in html.rglob('*.html'))} pages, every internal link leads somewhere: {html}/index.html")

if __name__ == '__main__': main()
