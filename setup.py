"Package metadata, read from settings.ini so that it is stated once."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(here / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]

setup(
    name=cfg["lib_name"], version=cfg["version"], description=cfg["description"], license="Apache-2.0",
    author=cfg["author"], author_email=cfg["author_email"], url=cfg["git_url"], keywords=cfg["keywords"].split(),
    packages=find_packages(include=["tokcomp", "tokcomp.*"]), package_data={"tokcomp": ["trained/*/*"]},
    entry_points={"console_scripts": ["tokcomp=tokcomp.cli:main"]},
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(),
    extras_require={"dev": cfg["dev_requirements"].split(), "langchain": ["langchain-core"], "llama-index": ["llama-index-core"], "ray": ["ray[data]"]},
    long_description=(here / "README.md").read_text(encoding="utf-8") if (here / "README.md").exists() else cfg["description"],
    long_description_content_type="text/markdown",
)
