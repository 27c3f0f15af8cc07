"""Copy the installed llama-cpp-python into another environment, so that it is built once per CI run."""

import shutil
import sys
from importlib.metadata import files
from pathlib import Path

target = Path(sys.argv[1])
for file in files("llama-cpp-python") or ():
    if ".." in file.parts:
        continue  # scripts beside site-packages; nothing here calls them
    source, destination = Path(str(file.locate())), target / file
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, destination)
