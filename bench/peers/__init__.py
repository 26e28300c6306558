"""Inferno against llama.cpp, OpenVINO GenAI and vLLM on this machine, in one run.

cases.py says what is compared and what is wanted, install.py gets the engines, workers/ drive them
from inside their environments, contenders.py and processes.py take samples, report.py and plot.py
say what came out. __main__.py is the command.
"""
