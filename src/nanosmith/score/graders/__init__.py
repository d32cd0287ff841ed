"""Graders: from an answer and what is known about it to a reward, in the terms of OpenAI's graders."""
