"""Where the packages lie: pyproject.toml cannot search folders that are imported under another name."""

from setuptools import find_packages, setup

FOLDERS = {
    "vidsuite_core": "vidsuite_core",
    "vidsuite_plugins": "plugins",
    "vidsuite_benchmarks": "benchmarks",
    "vidsuite_leaderboard": "leaderboard",
}

setup(
    package_dir=FOLDERS,
    packages=[
        package
        for name, folder in FOLDERS.items()
        for package in (name, *(f"{name}.{inner}" for inner in find_packages(folder)))
    ],
)
