"""Conversations to prompts, output to content, reasoning and tool calls.

Over llama.cpp's templates and output parsers in `pyrunner._native`. Nothing here samples or
schedules: the engine is a sibling, and the worker brings the two together.
"""

from pyrunner.chat.conversation import ChatFormat, ChatParser, Rendered

__all__ = ["ChatFormat", "ChatParser", "Rendered"]
