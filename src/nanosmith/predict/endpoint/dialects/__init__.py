"""How each provider's API is spoken: pure translation from and to OpenAI's chat completions, one file per API."""
